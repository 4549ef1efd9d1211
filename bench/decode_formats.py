"""`python -m bench.decode_formats COUNT`: the CPU seconds for an order by format, in JSON.

Needs the extra `registry`. Rows are prepared as the consumer prepares them. The formats take turns, so that a change
of the processor's speed affects all of them.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from time import process_time
from typing import Final

import msgspec

from generator.encodings import KINDS, encoded, schema_text
from generator.formats import FORMATS, MIXED
from generator.stream import Message, Plan, stream
from service.app.decoding import document_decoder, message_decoder
from service.config.settings import DocumentSettings
from service.entities.record import Record
from service.handler.kafka.registry.reader import RegisteredSchema
from service.handler.kafka.registry.readers import reader_of
from service.handler.kafka.registry.schemas import SchemaCache
from service.repo.writer.order_store import PostgresOrderStore

TURNS: Final = 3
"""After one that is not measured."""
_SLICES: Final = 20
"""Of the messages; formats take turns after each."""
_SEED: Final = 1

Messages = Mapping[str, Sequence[Record]]


def measure(count: int) -> dict[str, float]:
    messages, process = messages_by_format(count), processor()
    turns = [_turn(messages, process) for _ in range(TURNS + 1)][1:]
    return {name: median(turn[name] for turn in turns) / count for name in messages}


def messages_by_format(count: int) -> dict[str, list[Record]]:
    plain = [*stream(Plan(count=count, seed=_SEED))]
    found = {name: [*stream(Plan(count=count, seed=_SEED, format=name))] for name in FORMATS if name != MIXED}
    found |= {name: [*encoded(plain, name, schema_id)] for schema_id, name in enumerate(KINDS)}
    return {name: [*map(_record, messages)] for name, messages in found.items()}


def processor() -> Callable[[Record], None]:
    """Return a function that decodes a message, and prepares the rows of its order, as the reading thread does."""
    document = DocumentSettings()
    decode = message_decoder(document, document_decoder(document), schemas=_schemas()).decode

    def process(record: Record) -> None:
        decoded = decode(record)
        assert decoded is not None  # noqa: S101 - every message has an order
        PostgresOrderStore.prepare(decoded[0], record.source, decoded[1])

    return process


def _schemas() -> SchemaCache:
    """Return a cache that contains the schemas of all encodings; their ids are their places."""
    schemas = [RegisteredSchema(kind, schema_text(name)) for name, kind in KINDS.items()]
    cache = SchemaCache(lambda key: schemas[int(key)], reader_of, max_entries=len(schemas), unknown_id_attempts=1)
    for schema_id in range(len(schemas)):
        cache.load(schema_id)
    return cache


def _record(message: Message) -> Record:
    return Record("orders", 0, 0, 0, message.key, message.value, [*message.headers])


def _turn(messages: Messages, process: Callable[[Record], None]) -> dict[str, float]:
    seconds = dict.fromkeys(messages, 0.0)
    for name, some in _slices(messages):
        began = process_time()
        for record in some:
            process(record)
        seconds[name] += process_time() - began
    return seconds


def _slices(messages: Messages) -> Iterator[tuple[str, Sequence[Record]]]:
    for number in range(_SLICES):
        for name, records in messages.items():
            yield name, records[number::_SLICES]


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(measure(int(sys.argv[1]))))

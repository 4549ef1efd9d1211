"""Dead letters that a release has written stay readable and can be replayed by each later one.

`tests/kit/dead_letters/` has a file for each release: some of its dead letters, and the schemas of their messages. A
file never changes.
"""

import asyncio
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from confluent_kafka import Consumer

from local import broker
from service.app.decoding import uid_reader
from service.config import DocumentSettings, KafkaSettings
from service.entities.dead_letter import Reason
from service.entities.dead_letter_headers import DLQ_PREFIX, read_origin, read_replays
from service.entities.dead_letter_record import DeadLetterId, DeadLetterRecord
from service.entities.record import Record
from service.handler.kafka.client import properties
from service.handler.kafka.client.topic_reader import open_topic
from service.handler.kafka.dead_letters.delivery import ReplaceableProducer
from service.handler.kafka.dead_letters.replayer import Replayer
from service.handler.kafka.registry.frame import SchemaKey
from service.handler.kafka.registry.reader import RegisteredSchema
from service.handler.kafka.registry.readers import reader_of
from service.handler.kafka.registry.schemas import SchemaCache
from service.usecases.dead_letter_view import whole_view
from service.usecases.ports.replay import DEFAULT_MAX_REPLAYS, ReplayRequest, Selected
from tests.kit.decoding import encoded, message_decoder
from tests.kit.dlq import Sent, produce
from tests.kit.factories import SAMPLE

FILES = sorted((Path(__file__).parents[4] / "kit" / "dead_letters").glob("*.json"))


class Schema(msgspec.Struct):
    kind: str
    text: str


class StoredDeadLetter(msgspec.Struct):
    name: str
    """The format of the message."""
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes | None]]


class Release(msgspec.Struct):
    dead_letters: list[StoredDeadLetter]
    schemas: Mapping[str, Schema]
    """By id, or by GUID."""

    def schema(self, key: SchemaKey) -> RegisteredSchema:
        schema = self.schemas[str(key)]
        return RegisteredSchema(schema.kind, schema.text)


@pytest.fixture(params=FILES, ids=[each.stem for each in FILES])
def release(request: pytest.FixtureRequest) -> Release:
    return msgspec.json.decode(request.param.read_bytes(), type=Release)


@pytest.fixture
def kafka(release: Release) -> Iterator[KafkaSettings]:
    """A broker with the dead letters of the release, in partition 0."""
    with broker.mock(["orders", "orders.dlq"]) as server:
        settings = KafkaSettings(bootstrap_servers=server.bootstrap_servers, properties={"fetch.wait.max.ms": 1})
        produce(settings, *(Sent(each.key, each.value, each.headers) for each in release.dead_letters))
        yield settings


def records(kafka: KafkaSettings, topic: str) -> list[Record]:
    with closing(Consumer(properties.silent_consumer(kafka))) as consumer:
        reader = open_topic(consumer, topic)
        return list(reader.read(reader.starts, lambda: False))


def replay(kafka: KafkaSettings, *places: DeadLetterId) -> None:
    replayer = Replayer(
        lambda: Consumer(properties.dead_letter_reader(kafka)),
        ReplaceableProducer(lambda: properties.producer(kafka)),
        subscription=kafka.subscription,
        dead_letter_topic=kafka.dead_letter_topic,
        read_uid=uid_reader(DocumentSettings()),
    )
    results = asyncio.run(replayer.replay(ReplayRequest(Selected(places), "desk", DEFAULT_MAX_REPLAYS)))
    assert [each.refusal for each in results] == [None] * len(places)


def test_all_fields_of_a_dead_letter_are_shown(release: Release, kafka: KafkaSettings) -> None:
    for number, (record, stored) in enumerate(
        zip(records(kafka, kafka.dead_letter_topic), release.dead_letters, strict=True)
    ):
        shown = whole_view(DeadLetterRecord.of(record))
        assert shown.reason in {*Reason}, stored.name
        assert all((shown.detail, shown.failed_at, shown.attempts)), stored.name
        assert shown.original is not None, stored.name
        assert (shown.original.topic, shown.original.partition) == ("orders", number % 3)
        assert shown.original.offset == 100 + number
        assert (b64decode(shown.key or ""), b64decode(shown.value or "")) == (stored.key, stored.value)


def test_a_replayed_dead_letter_is_the_order_of_the_original_version(release: Release, kafka: KafkaSettings) -> None:
    """Once its cause is fixed: the registry has the schemas."""
    schemas = SchemaCache(release.schema, reader_of, max_entries=10, unknown_id_attempts=1)
    for key in release.schemas:
        schemas.load(int(key) if key.isdigit() else UUID(key))
    decoder, expected = message_decoder(schemas=schemas), message_decoder().decode(record_of(encoded(SAMPLE)))
    assert expected is not None
    places = [DeadLetterId(0, number) for number in range(len(release.dead_letters))]
    replay(kafka, *places)
    replayed = {read_origin(each.headers): each for each in records(kafka, kafka.topic)}
    for stored in release.dead_letters:
        message = replayed.pop(read_origin(stored.headers))
        assert own_headers(message.headers) == own_headers(stored.headers), stored.name
        assert read_replays(message.headers) == 1
        decoded = decoder.decode(message)
        assert decoded is not None, stored.name
        assert decoded[0] == expected[0], stored.name
    assert replayed == {}


def record_of(value: bytes) -> Record:
    return Record("orders", 0, 0, 0, None, value, None)


def own_headers(headers: list[tuple[str, bytes | None]] | None) -> list[tuple[str, bytes | None]]:
    return [each for each in headers or [] if not each[0].startswith(DLQ_PREFIX)]

"""Records become entries and dead letters of the batch that is being filled."""

from collections.abc import Callable
from typing import Final

from service.entities.dead_letter import DeadLetter
from service.entities.errors import DocumentRejected
from service.entities.version import VersionedOrder
from service.handler.kafka.client.record import Record
from service.handler.kafka.consumer.decode import Decoder
from service.usecases.batch import Batch, Entry

Prepare = Callable[..., VersionedOrder]
"""usecases.ports.OrderStore.prepare."""

_NULL: Final = b"null"
_JSON_WHITESPACE: Final = b" \t\n\r"
_ESCAPE: Final = b"\\"
"""JSON text without one has no control characters in its texts, nor backslashes."""


def add_record(record: Record, batch: Batch, decoder: Decoder, prepare: Prepare) -> None:
    """Put one record into the batch: as an order, as a dead letter, or as nothing but an offset (a tombstone)."""
    batch.note(record.partition, record.offset, record.timestamp_ms, record.size)
    value = record.value or b""
    if is_tombstone(value):
        batch.skip()
        return
    try:
        order = decoder.decode(value)
    except DocumentRejected as rejection:
        detail = "; ".join(map(str, rejection.violations))
        batch.reject(DeadLetter(record, record.partition, rejection.reason, detail))
    else:
        versioned = prepare(order, record.source, needs_no_escaping=_ESCAPE not in value)
        batch.add(Entry(versioned, record, record.partition, record.offset))


def is_tombstone(value: bytes) -> bool:
    """Tell whether there is no document: no value (null or empty), or the JSON text `null`, as serializers write it."""
    return not value or value.strip(_JSON_WHITESPACE) == _NULL

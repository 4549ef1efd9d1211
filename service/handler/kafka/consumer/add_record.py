"""Adds records to a batch: as orders, as dead letters, or as offsets alone."""

from collections.abc import Callable
from typing import Final

from service.decoding.decoder import Decoder
from service.entities.dead_letter import DeadLetter
from service.entities.order import Order
from service.entities.record import Record
from service.entities.version import RecordCoordinates, VersionedOrder
from service.errors import DocumentRejected
from service.usecases.ports.batch import Batch, ConsumedOrder

Prepare = Callable[[Order, RecordCoordinates, bytes], VersionedOrder]
"""See OrderStore.prepare."""

_NULL: Final = b"null"
_JSON_WHITESPACE: Final = b" \t\n\r"


def add_record(record: Record, batch: Batch, decoder: Decoder, prepare: Prepare) -> None:
    """Add one record: as an order, as a dead letter, or as an offset alone (a tombstone)."""
    batch.track(record)
    value = record.value or b""
    if is_tombstone(value):
        batch.add_tombstone()
        return
    try:
        order = decoder.decode(value)
    except DocumentRejected as rejection:
        detail = "; ".join(map(str, rejection.violations))
        batch.add_dead_letter(DeadLetter(record, rejection.reason, detail))
    else:
        versioned = prepare(order, record.source, value)
        batch.add_order(ConsumedOrder(versioned, record))


def is_tombstone(value: bytes) -> bool:
    """Return whether there is no document: no value, an empty one, or the JSON text `null` that serializers write."""
    return not value or value.strip(_JSON_WHITESPACE) == _NULL

"""Adds records to a batch: as orders, as dead letters, or as offsets alone."""

from collections.abc import Callable

from service.entities.dead_letter import DeadLetter
from service.entities.order import Order
from service.entities.record import Record
from service.entities.version import RecordCoordinates, VersionedOrder
from service.errors import DocumentRejected, SchemaNotLoaded
from service.handler.kafka.consumer.formats.message_decoder import MessageDecoder
from service.usecases.batch import Batch, ConsumedOrder

Prepare = Callable[[Order, RecordCoordinates, bytes | None], VersionedOrder]
"""Returns the order, with what the store can encode ahead of the write. Safe in any thread.

The bytes are the JSON text that the order was decoded from; None if its texts are not all in such a text.
"""


def add_record(record: Record, batch: Batch, decoder: MessageDecoder, prepare: Prepare) -> None:
    """Add one record: as an order, as a dead letter, or as an offset alone (a tombstone).

    A record whose schema is not loaded is added undecoded, and so are all that follow, which keeps their order.
    """
    batch.track(record)
    if batch.undecoded:
        batch.undecoded.append(record)
        return
    try:
        decode_record(record, batch, decoder, prepare)
    except SchemaNotLoaded:
        batch.undecoded.append(record)


def decode_record(record: Record, batch: Batch, decoder: MessageDecoder, prepare: Prepare) -> None:
    """Decode a record of the batch. Raises SchemaNotLoaded; nothing is changed then."""
    try:
        decoded = decoder.decode(record)
    except DocumentRejected as rejection:
        detail = "; ".join(map(str, rejection.violations))
        batch.add_dead_letter(DeadLetter(record, rejection.reason, detail))
        return
    if decoded is None:
        batch.add_tombstone()
        return
    order, json = decoded
    batch.add_order(ConsumedOrder(prepare(order, record.source, json), record))

"""Records become entries and dead letters of the batch that is being filled."""

from service.entities.dead_letter import DeadLetter
from service.entities.errors import DocumentRejected
from service.entities.version import Sourced
from service.handler.kafka.decode import Decoder
from service.handler.kafka.record import Record
from service.usecases.batch import Batch, Entry


def take(record: Record, batch: Batch, decoder: Decoder) -> None:
    """Put one record into the batch: as an order, as a dead letter, or as nothing but an offset (a tombstone)."""
    batch.note(record.partition, record.offset, record.timestamp_ms, record.size)
    if not record.value:
        batch.skip()
        return
    try:
        order = decoder.decode(record.value)
    except DocumentRejected as rejection:
        detail = "; ".join(map(str, rejection.violations))
        batch.reject(DeadLetter(record, record.partition, rejection.reason, detail))
    else:
        batch.add(Entry(Sourced(order, record.source), record, record.partition))

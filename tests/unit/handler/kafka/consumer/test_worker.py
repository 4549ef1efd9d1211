"""The thread that writes a batch, as the reading thread sees it."""

from service.handler.kafka.consumer.worker import BatchWorker
from service.usecases.batch import Batch
from service.usecases.ingest import Outcome
from service.usecases.ports import Stored

SECONDS = 10.0


def test_a_batch_that_is_written_stays_in_sight_until_it_is_taken_back() -> None:
    """Partitions may be taken away in between, and must be dropped from it."""
    writer = BatchWorker(lambda _: Outcome(Stored(), [], is_committed=False))
    batch = Batch()
    writer.submit(batch)
    assert writer.wait_finished(SECONDS)
    seen = [writer.batch]
    writer.take_finished()
    seen.append(writer.batch)
    writer.close(SECONDS)
    assert seen == [batch, None]

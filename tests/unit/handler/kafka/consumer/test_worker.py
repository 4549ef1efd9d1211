"""The thread that writes batches, as the reading thread sees it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

import pytest

from service.handler.kafka.consumer.worker import BatchWorker
from service.usecases.batch import Batch
from service.usecases.outcome import Outcome
from service.usecases.ports.ingest import StoreCounts
from tests.kit.factories import record
from tests.kit.order_partitions import P0, P1

SECONDS = 10.0
WRITTEN = Outcome(StoreCounts())


class ObservedWorker(BatchWorker):
    """Records whether it is free after each change that the writing thread makes."""

    def __init__(self, ingest: Callable[[Batch], Outcome]) -> None:
        self.was_free: list[bool] = []
        super().__init__(ingest, threading.Event())

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if threading.current_thread() is not threading.main_thread():
            self.was_free.append(self.is_free)


@contextmanager
def worker(ingest: Callable[[Batch], Outcome] = lambda _: WRITTEN) -> Iterator[ObservedWorker]:
    """Yield a worker whose `close` ends its thread."""
    writer = ObservedWorker(ingest)
    writer.start()
    try:
        yield writer
    finally:
        writer.close(SECONDS)


def after(proceed: threading.Event) -> Callable[[Batch], Outcome]:
    """Return a write that ends when the event is set."""

    def write(_: Batch) -> Outcome:
        proceed.wait(SECONDS)
        return WRITTEN

    return write


def test_a_written_batch_stays_visible_until_its_result_is_taken() -> None:
    """Partitions may be revoked in between, and must be dropped from it."""
    batch = Batch()
    with worker() as writer:
        writer.submit(batch)
        assert writer.wait_finished(SECONDS)
        seen = [writer.batch]
        result = writer.take_result()
        assert result is not None
        assert (result.batch, result.outcome, result.error) == (batch, WRITTEN, None)
        assert 0 <= result.seconds < SECONDS
        assert [*seen, writer.batch] == [batch, None]
        assert writer.take_result() is None


def test_the_worker_is_busy_until_the_result_is_taken() -> None:
    """A batch submitted too early would overwrite an error, and its offsets would be committed."""
    with worker() as writer:
        assert writer.is_free
        writer.submit(Batch())
        assert writer.wait_finished(SECONDS)
        writer.take_result()
        assert writer.is_free
    assert writer.was_free == [False]


def test_a_busy_worker_rejects_a_batch() -> None:
    with worker() as writer:
        writer.submit(Batch())
        assert writer.wait_finished(SECONDS)
        with pytest.raises(ValueError, match=r"^the result of the last batch was not taken$"):
            writer.submit(Batch())


def test_the_error_that_ended_a_batch_is_its_result() -> None:
    problem = RuntimeError("a bug")

    def fail(_: Batch) -> Outcome:
        raise problem

    with worker(fail) as writer:
        writer.submit(Batch())
        assert writer.wait_finished(SECONDS)
        result = writer.take_result()
        assert result is not None
        assert (result.outcome, result.error) == (None, problem)


def test_waiting_for_a_batch_ends_after_the_given_time() -> None:
    proceed = threading.Event()
    with worker(after(proceed)) as writer:
        assert not writer.wait_finished(0)
        writer.submit(Batch())
        assert not writer.wait_finished(0.01)
        assert writer.take_result() is None
        assert not writer.is_free
        proceed.set()
        assert writer.wait_finished(SECONDS)


def test_a_revocation_waits_only_for_a_batch_with_messages_of_its_partitions() -> None:
    proceed = threading.Event()
    batch = Batch()
    batch.track(record(0))
    with worker(after(proceed)) as writer:
        writer.submit(batch)
        began = monotonic()
        writer.wait_written(frozenset({P1}), SECONDS)
        assert monotonic() - began < SECONDS / 2
        assert not writer.wait_finished(0)
        threading.Timer(0.01, proceed.set).start()
        writer.wait_written(frozenset({P0, P1}), SECONDS)
        assert writer.wait_finished(0)


def test_a_revocation_does_not_wait_for_a_worker_whose_close_timed_out() -> None:
    proceed = threading.Event()
    batch = Batch()
    batch.track(record(0))
    with worker(after(proceed)) as writer:
        writer.submit(batch)
        began = monotonic()
        writer.close(0)
        writer.wait_written(frozenset({P0}), SECONDS)
        assert monotonic() - began < SECONDS / 2
        proceed.set()


def test_closing_ends_the_thread_after_its_batch() -> None:
    before = threading.active_count()
    with worker() as writer:
        writer.submit(Batch())
    assert writer.wait_finished(0)
    assert threading.active_count() == before

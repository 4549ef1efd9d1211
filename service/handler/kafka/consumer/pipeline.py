"""Fills one batch while the previous one is written, and handles the result of each."""

from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import Message

from service.entities.partition import Partition
from service.errors import Stopped
from service.handler.kafka.client.record import position_of
from service.handler.kafka.consumer.batch_builder import BatchBuilder
from service.handler.kafka.consumer.flow_control.breaker_control import BreakerControl
from service.handler.kafka.consumer.flow_control.state import ConsumerStateMachine
from service.handler.kafka.consumer.partitions.progress import Progress
from service.handler.kafka.consumer.reports.outcome_report import OutcomeReport
from service.handler.kafka.consumer.worker import BatchResult, BatchWorker
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.batch import Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPipeline:
    builder: BatchBuilder
    worker: BatchWorker
    progress: Progress
    breaker: BreakerControl
    state: ConsumerStateMachine
    report: OutcomeReport
    stop: ShutdownEvent

    def start(self) -> None:
        """Start the writing thread."""
        self.worker.start()

    @property
    def capacity(self) -> int:
        """How many messages to take from the client in one call, at least 1."""
        return self.builder.capacity(self.breaker.limits)

    @property
    def is_full(self) -> bool:
        return self.builder.batch.must_submit(self.breaker.limits)

    def add(self, messages: list[Message]) -> None:
        """Add messages to the next batch. While the circuit breaker pauses, skip them: they are read again."""
        if self.state.breaker_pause is None:
            self.builder.add(messages)
        else:
            for message in messages:
                self.state.breaker_pause.skip(*position_of(message))

    def submit(self) -> None:
        """Start writing the next batch; after a stop, submit nothing: the batch before it may have been abandoned."""
        if self.worker.is_free and self.builder.batch.next_offsets and not self.stop.is_set():
            self.builder.batch.starts_over = self.breaker.starts_over
            self.worker.submit(self.builder.take(self.breaker.probed_offsets))
            self.state.on_submit()

    def handle_result(self) -> BatchResult | None:
        """Handle and return the result of the batch that was written; None while it is written.

        Raises the error that ended the batch, unless it was a stop.
        """
        if result := self.worker.take_result():
            self._on_result(result)
        return result

    def revoke(self, partitions: frozenset[Partition], timeout: float) -> None:
        """Wait for a running transaction with orders of these partitions, and drop what is not done."""
        self.builder.batch.drop(partitions)
        self.worker.wait_written(partitions, timeout)
        if result := self.worker.take_result():
            if not result.may_commit:  # otherwise the offsets are still committed
                result.batch.drop(partitions)
            self._on_result(result)

    def drain(self, timeout: float) -> int:
        """Wait for a running transaction. Return the number of messages whose batch is not done."""
        self.worker.wait_finished(timeout if self.worker.batch else 0)
        result = self.handle_result()
        if self.worker.batch is not None:
            return len(self.worker.batch)
        return len(result.batch) if result and not result.may_commit else 0

    def close(self, timeout: float) -> None:
        """End the writing thread; block for at most `timeout`."""
        self.worker.close(timeout)

    def reach_end(self, partition: Partition, end: int) -> None:
        """Record that the client has read a partition to its end, unless messages before it are read again."""
        if self.state.breaker_pause is None:
            self.progress.reach_end(partition, end)

    def advance_to_ends(self) -> None:
        """Advance partitions that were read to the end, unless messages before it are read again."""
        if self.state.breaker_pause is None:
            self.progress.advance_to_ends(self._batches, self.breaker.held_back)

    def drop(self, partitions: frozenset[Partition]) -> None:
        """Drop partitions that were revoked or recreated."""
        for batch in self._batches:
            batch.drop(partitions)
        self.progress.drop(partitions)
        self.breaker.drop(partitions)

    @property
    def _batches(self) -> Sequence[Batch]:
        return [batch for batch in (self.builder.batch, self.worker.batch) if batch is not None]

    def _on_result(self, result: BatchResult) -> None:
        batch, outcome = result.batch, result.outcome
        if outcome is None:
            if result.error is not None and not isinstance(result.error, Stopped):
                raise result.error
            return
        self.report(batch, outcome, result.seconds)
        if result.may_commit:
            self.progress.advance(batch, is_committed=outcome.is_committed)
        self.breaker.on_outcome(batch, outcome, self.builder.batch)
        if self.state.breaker_pause is not None:
            self._discard_held_back()

    def _discard_held_back(self) -> None:
        """Discard the messages that are read again after the pause."""
        self.progress.clear_all_ends()
        self.builder.discard(self.breaker.probed_offsets)

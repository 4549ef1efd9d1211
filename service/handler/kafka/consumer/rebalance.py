"""The callbacks of a rebalance: they run in polls, in the reading thread."""

from collections import deque
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, TopicPartition
from structlog.typing import FilteringBoundLogger

from service.handler.kafka.consumer.batch_builder import BatchBuilder
from service.handler.kafka.consumer.completion import BatchCompletion
from service.handler.kafka.consumer.fetch import FetchControl
from service.handler.kafka.consumer.offsets import OffsetCommitter
from service.handler.kafka.consumer.positions import Positions, partition_numbers
from service.handler.kafka.consumer.progress import Progress
from service.handler.kafka.consumer.topic_check import TopicCheck
from service.handler.kafka.consumer.worker import BatchWorker

if TYPE_CHECKING:
    from service.metrics import ConsumptionMetrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebalance:
    client: Consumer
    topic: str
    statistics: deque[str]
    """The client's last statistics, until the receiver takes them."""
    builder: BatchBuilder
    worker: BatchWorker
    completion: BatchCompletion
    progress: Progress
    positions: Positions
    topic_check: TopicCheck
    fetch: FetchControl
    offsets: OffsetCommitter
    is_waiting_to_retry: Event
    revoke_timeout: float
    """Seconds."""
    metrics: "ConsumptionMetrics"
    log: FilteringBoundLogger

    def subscribe(self) -> None:
        """Join the group at the next poll."""
        self.client.subscribe([self.topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)

    def _on_assign(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        client.incremental_assign(partitions)
        self.statistics.clear()  # older than the assignment: they have other offsets of these partitions
        self.progress.on_assign()
        self.topic_check.add(partition_numbers(partitions))
        self.fetch.apply(partitions)
        self._report("assigned", partitions)

    def _on_revoke(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        """Commit finished batches before the partitions are revoked; their next owner reads the rest."""
        revoked = partition_numbers(partitions)
        self.builder.batch.drop(revoked)
        self._wait_for_write(revoked)
        self.offsets.commit_now(client)
        self.positions.forget(revoked)
        client.incremental_unassign(partitions)
        self._report("revoked", partitions)

    def _on_lost(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        """Commit nothing: another member may own the partitions already."""
        self.positions.forget(partition_numbers(partitions))
        client.incremental_unassign(partitions)
        self._report("lost", partitions)

    def _wait_for_write(self, revoked: frozenset[int]) -> None:
        """Wait for a running transaction with orders of these partitions, but not for a retry during an outage."""
        batch = self.worker.batch
        if batch is not None and revoked & batch.next_offsets.keys() and not self.is_waiting_to_retry.is_set():
            self.worker.wait_finished(self.revoke_timeout)
        if finished := self.worker.take_finished():
            if not finished.is_done:  # the offsets of a batch that is done are still committed
                finished.batch.drop(revoked)
            self.completion.on_batch_done(finished)

    def _report(self, kind: str, partitions: list[TopicPartition]) -> None:
        self.metrics.rebalances.labels(kind).inc()
        self.log.info("partitions changed", kind=kind, partitions=sorted(partition_numbers(partitions)))

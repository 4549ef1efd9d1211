"""The callbacks of a rebalance: they run in polls, in the reading thread, and in `close`, while it waits."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, TopicPartition
from structlog.typing import FilteringBoundLogger

from service.handler.kafka.client.partitions import partition_set
from service.handler.kafka.consumer.assignment import Assignment
from service.handler.kafka.consumer.partitions.offsets import OffsetCommitter
from service.handler.kafka.consumer.partitions.statistics import LatestStatistics
from service.handler.kafka.consumer.pipeline import BatchPipeline

if TYPE_CHECKING:
    from service.metrics import ConsumptionMetrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebalance:
    client: Consumer
    subscription: list[str]
    assignment: Assignment
    pipeline: BatchPipeline
    offsets: OffsetCommitter
    statistics: LatestStatistics
    metrics: "ConsumptionMetrics"
    log: FilteringBoundLogger
    revoke_timeout: float
    """Seconds."""

    def subscribe(self) -> None:
        """Join the group at the next poll."""
        self.client.subscribe(
            self.subscription, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def _on_assign(self, _client: Consumer, partitions: list[TopicPartition]) -> None:
        self.assignment.add(partitions)
        self.statistics.discard()  # older than the assignment: they have other offsets of these partitions
        self._report("assigned", partitions)

    def _on_revoke(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        """Commit finished batches before the partitions are revoked; their next owner reads the rest."""
        self.pipeline.revoke(partition_set(partitions), self.revoke_timeout)
        self.offsets.commit_now(client)
        self.assignment.remove(partitions)
        self._report("revoked", partitions)

    def _on_lost(self, _client: Consumer, partitions: list[TopicPartition]) -> None:
        """Commit nothing: another member may own the partitions already."""
        self.assignment.remove(partitions)
        self._report("lost", partitions)

    def _report(self, kind: str, partitions: list[TopicPartition]) -> None:
        self.metrics.rebalances.labels(kind).inc()
        self.log.info("partitions changed", kind=kind, partitions=[*map(str, sorted(partition_set(partitions)))])

"""Lag by partition, in messages and seconds."""

from collections.abc import Callable, Collection
from time import monotonic
from typing import TYPE_CHECKING, Final

from service.entities.partition import Partition
from service.handler.kafka.consumer.partitions.partition_ends import PartitionEnds
from service.handler.kafka.consumer.partitions.progress import PartitionProgress, Progress

if TYPE_CHECKING:
    from service.metrics import PartitionMetrics

_UPDATE_INTERVAL_SECONDS: Final = 1.0
"""Interval between two updates of the gauges."""


class Lag:
    """Compares offsets that are done with the ends of partitions.

    The lag counts what can be read: up to the last stable offset, where the first open transaction begins. Messages
    after it have a separate metric.
    """

    def __init__(
        self,
        ends: PartitionEnds,
        progress: Progress,
        metrics: "PartitionMetrics",
        now: Callable[[], float] = monotonic,
    ) -> None:
        self.ends = ends
        self._progress = progress
        self._metrics = metrics
        self._now = now
        self._gauges = (
            metrics.lag_messages, metrics.lag_seconds, metrics.open_transaction_messages, metrics.stalled_seconds,
        )  # fmt: skip
        self._updated_at = 0.0

    def remove_gauges(self, partitions: frozenset[Partition]) -> None:
        for partition in partitions:
            for gauge in self._gauges:
                gauge.remove(partition.topic, str(partition.number))

    def update(self, paused: Collection[Partition] = ()) -> None:
        """Update the gauges, at most once a second. Blocks for at most half a second if partitions are not fetched."""
        if self._now() - self._updated_at < _UPDATE_INTERVAL_SECONDS:
            return
        self._updated_at = self._now()
        self.ends.query(self._progress.partitions, paused)
        for partition, progress in self._progress.partitions.items():
            self._set(partition, progress)

    def _set(self, partition: Partition, progress: PartitionProgress) -> None:
        start, end = self.ends.readable(partition)
        behind = max(end - max(progress.offset, start), 0)
        in_transactions = self.ends.open_transaction_messages(partition)
        if not behind:
            self._progress.mark_caught_up(partition)
        if is_idle := not behind and not in_transactions:
            self._progress.mark_idle(partition)
        self._metrics.lag_messages.labels(*partition).set(behind)
        self._metrics.lag_seconds.labels(*partition).set(self._progress.age_seconds(partition) if behind else 0)
        self._metrics.open_transaction_messages.labels(*partition).set(in_transactions)
        self._metrics.stalled_seconds.labels(*partition).set(
            0 if is_idle else self._progress.stalled_seconds(partition)
        )

"""Lag by partition, in messages and seconds."""

from collections import deque
from collections.abc import Collection, Mapping
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from service.handler.kafka.consumer.progress import PartitionProgress, Progress, now_ms

if TYPE_CHECKING:
    from service.handler.kafka.consumer.statistics import PartitionEnd
    from service.metrics import PartitionMetrics

_UPDATE_INTERVAL_SECONDS: Final = 1.0
"""Between two updates of the gauges."""
_QUERY_INTERVAL_SECONDS: Final = 5.0
"""Between two queries for the ends of partitions that are not fetched."""
_QUERY_TIMEOUT_SECONDS: Final = 0.5
"""For all partitions together."""
_MS_PER_SECOND: Final = 1_000


class Lag:
    """Compares offsets that are done with the ends of partitions. Belongs to the reading thread.

    The lag counts what can be read: up to the last stable offset, where the first open transaction begins. Messages
    after it have a metric of their own.
    """

    def __init__(self, client: Consumer, topic: str, progress: Progress, metrics: "PartitionMetrics") -> None:
        self._client = client
        self._topic = topic
        self._progress = progress
        self._metrics = metrics
        self._gauges = (
            metrics.lag_messages, metrics.lag_seconds, metrics.open_transaction_messages, metrics.stalled_seconds,
        )  # fmt: skip
        self._ends: Mapping[int, PartitionEnd] = {}
        self._unfetched: frozenset[int] = frozenset()
        self._queried: dict[int, tuple[int, int]] = {}
        self._to_query: deque[int] = deque()
        self._queried_at = 0.0
        self._updated_at = 0.0

    def on_statistics(self, ends: "Mapping[int, PartitionEnd]", unfetched: frozenset[int]) -> None:
        """Record the ends of partitions, and the assigned partitions without a position, which are not fetched."""
        self._ends, self._unfetched = ends, unfetched

    def forget(self, partitions: frozenset[int]) -> None:
        """Remove the gauges of these partitions."""
        for partition in partitions:
            for gauge in self._gauges:
                with suppress(KeyError):
                    gauge.remove(str(partition))

    def update(self, paused: Collection[int] = ()) -> None:
        """Update the gauges, at most once a second. `paused`: further partitions that are not fetched.

        The client learns the ends of partitions by fetching, so the ends of the others are queried. That blocks for at
        most half a second.
        """
        if monotonic() - self._updated_at < _UPDATE_INTERVAL_SECONDS:
            return
        self._updated_at = monotonic()
        self._query_ends(self._unfetched.union(paused))
        for partition, progress in self._progress.partitions.items():
            self._set(partition, progress)

    def _set(self, partition: int, progress: PartitionProgress) -> None:
        start, end = self._readable(partition)
        behind = max(end - max(progress.offset, start), 0)
        ends = self._ends.get(partition)
        locked = ends.locked if ends else 0
        now, waits = monotonic(), bool(behind or locked)
        if not behind:
            progress.caught_up()
        if not waits:
            progress.moved_at = now
        self._metrics.lag_messages.labels(partition).set(behind)
        self._metrics.lag_seconds.labels(partition).set(
            max(now_ms() - progress.last_ms, 0) / _MS_PER_SECOND if behind else 0
        )
        self._metrics.open_transaction_messages.labels(partition).set(locked)
        self._metrics.stalled_seconds.labels(partition).set(now - progress.moved_at)

    def _query_ends(self, unfetched: Collection[int]) -> None:
        """Query the end of each partition. After _QUERY_TIMEOUT_SECONDS the rest is left for the next call."""
        for partition in self._queried.keys() - set(unfetched):
            del self._queried[partition]
        if not unfetched or monotonic() - self._queried_at < _QUERY_INTERVAL_SECONDS:
            return
        self._to_query = self._to_query or deque(
            partition for partition in self._progress.partitions if partition in unfetched
        )
        deadline = monotonic() + _QUERY_TIMEOUT_SECONDS
        while self._to_query and (left := deadline - monotonic()) > 0:
            partition = self._to_query.popleft()
            with suppress(KafkaException):
                self._queried[partition] = self._client.get_watermark_offsets(self._topic_partition(partition), left)
        self._queried_at = monotonic()

    def _readable(self, partition: int) -> tuple[int, int]:
        """Return the first and the last stable offset, from the last query or fetch."""
        if queried := self._queried.get(partition):
            return queried
        start = end = 0
        with suppress(KafkaException):
            start, end = self._client.get_watermark_offsets(self._topic_partition(partition), cached=True)
        ends = self._ends.get(partition)
        return start, ends.stable if ends and ends.locked else end  # `end` includes open transactions

    def _topic_partition(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topic, partition)

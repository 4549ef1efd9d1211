"""Resets positions that are no longer in the topic; logs and counts the skipped offsets."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from structlog.typing import FilteringBoundLogger

from service.handler.kafka.client.error_phrases import error_fields
from service.handler.kafka.client.offset_queries import committed_offsets
from service.handler.kafka.client.reassign import reassign
from service.handler.kafka.consumer.partitions.progress import Progress
from service.pkg.log_throttle import LOG_INTERVAL_SECONDS, LogThrottle

if TYPE_CHECKING:
    from service.metrics import ConsumptionMetrics

_QUERY_TIMEOUT_SECONDS: Final = 5


class OffsetResets:
    """The client reports positions out of range by `auto.offset.reset=error`."""

    def __init__(
        self,
        *,
        client: Consumer,
        topic: str,
        progress: Progress,
        metrics: "ConsumptionMetrics",
        log: FilteringBoundLogger,
    ) -> None:
        self._client = client
        self._topic = topic
        self._progress = progress
        self._metrics = metrics
        self._log = log
        self._throttle = LogThrottle(LOG_INTERVAL_SECONDS)
        self._out_of_range: set[int] = set()

    def add(self, partition: int) -> None:
        """Record that the position of a partition is out of range."""
        self._out_of_range.add(partition)

    def drop(self, partitions: frozenset[int]) -> None:
        self._out_of_range -= partitions

    def reset(self, unverified: Collection[int] = ()) -> list[TopicPartition]:
        """Move positions that are out of range to the earliest offset, except unverified ones; return the moved ones.

        If the broker is unreachable, the others are left for the next poll, so that no poll blocks for long. Drops
        partitions that are no longer assigned.
        """
        moved = []
        if self._out_of_range:
            self._out_of_range &= {each.partition for each in self._client.assignment()}
        for partition in sorted(self._out_of_range.difference(unverified)):
            try:
                moved.append(self._reset_position(partition))
            except KafkaException as error:
                self._log_failed_query(partition, error.args[0])
                break
            self._out_of_range.remove(partition)
        return moved

    def _log_failed_query(self, partition: int, error: KafkaError) -> None:
        if self._throttle.is_due(error.name()):
            self._log.warning("cannot find the earliest offset yet", partition=partition, **error_fields(error))

    def _reset_position(self, partition: int) -> TopicPartition:
        topic_partition = TopicPartition(self._topic, partition)
        earliest, end = self._client.get_watermark_offsets(topic_partition, timeout=_QUERY_TIMEOUT_SECONDS)
        if (offset := self._expected_offset(topic_partition)) is not None:
            skipped = max(earliest - offset, offset - end, 0)
            self._metrics.offsets_skipped.inc(skipped)
            self._log.error(
                "the offset is no longer in the topic: reading continues at the earliest one",
                partition=partition, offset=offset, earliest=earliest, end=end, skipped=skipped,
            )  # fmt: skip
        topic_partition.offset = earliest
        reassign(self._client, [topic_partition])
        return topic_partition

    def _expected_offset(self, topic_partition: TopicPartition) -> int | None:
        """Return the offset to continue from, or None if none was ever committed, so that nothing is lost."""
        if (offset := self._progress.next_offset(topic_partition.partition)) is not None:
            return offset
        (committed,) = committed_offsets(self._client, [topic_partition], _QUERY_TIMEOUT_SECONDS)
        return committed.offset if committed.offset >= 0 else None

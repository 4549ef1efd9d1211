"""Resets positions that are no longer in the topic; logs and counts the skipped offsets."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from structlog.typing import FilteringBoundLogger

from service.entities.partition import Partition
from service.handler.kafka.client.error_phrases import error_fields
from service.handler.kafka.client.offset_queries import committed_offsets
from service.handler.kafka.client.partitions import partition_set
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
        progress: Progress,
        metrics: "ConsumptionMetrics",
        log: FilteringBoundLogger,
    ) -> None:
        self._client = client
        self._progress = progress
        self._metrics = metrics
        self._log = log
        self._throttle = LogThrottle(LOG_INTERVAL_SECONDS)
        self._out_of_range: set[Partition] = set()

    def add(self, partition: Partition) -> None:
        """Record that the position of a partition is out of range."""
        self._out_of_range.add(partition)

    def drop(self, partitions: frozenset[Partition]) -> None:
        self._out_of_range -= partitions

    def reset(self, may_move: Callable[[Partition], bool]) -> list[TopicPartition]:
        """Move positions that are out of range, and that may move, to the earliest offset; return the moved ones.

        If the broker is unreachable, the others are left for the next poll, so that no poll blocks for long. Drops
        partitions that are no longer assigned.
        """
        moved = []
        if self._out_of_range:
            self._out_of_range &= partition_set(self._client.assignment())
        for partition in sorted(filter(may_move, self._out_of_range)):
            try:
                moved.append(self._reset_position(partition))
            except KafkaException as error:
                self._log_failed_query(partition, error.args[0])
                break
            self._out_of_range.remove(partition)
        return moved

    def _log_failed_query(self, partition: Partition, error: KafkaError) -> None:
        if self._throttle.is_due(error.name()):
            self._log.warning(
                "cannot find the earliest offset yet",
                topic=partition.topic,
                partition=partition.number,
                **error_fields(error),
            )

    def _reset_position(self, partition: Partition) -> TopicPartition:
        topic_partition = TopicPartition(*partition)
        earliest, end = self._client.get_watermark_offsets(topic_partition, timeout=_QUERY_TIMEOUT_SECONDS)
        if (offset := self._expected_offset(partition)) is not None:
            self._report(partition, offset, earliest, end)
        topic_partition.offset = earliest
        reassign(self._client, [topic_partition])
        return topic_partition

    def _report(self, partition: Partition, offset: int, earliest: int, end: int) -> None:
        if skipped := max(earliest - offset, offset - end, 0):
            self._metrics.offsets_skipped.inc(skipped)
            self._log.error(
                "the offset is no longer in the topic: reading continues at the earliest one",
                topic=partition.topic, partition=partition.number, offset=offset, earliest=earliest, end=end,
                skipped=skipped,
            )  # fmt: skip
        else:
            self._log.error(
                "the partition has lost messages before the offset: reading continues at the earliest one",
                topic=partition.topic, partition=partition.number, offset=offset, earliest=earliest, end=end,
            )  # fmt: skip

    def _expected_offset(self, partition: Partition) -> int | None:
        """Return the offset to continue from, or None if none was ever committed, so that nothing is lost."""
        if (offset := self._progress.next_offset(partition)) is not None:
            return offset
        (committed,) = committed_offsets(self._client, [TopicPartition(*partition)], _QUERY_TIMEOUT_SECONDS)
        return committed.offset if committed.offset >= 0 else None

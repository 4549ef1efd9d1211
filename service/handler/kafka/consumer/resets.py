"""Offsets that are no longer in the topic: said and counted before reading goes on at the earliest that is."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition
from structlog.typing import FilteringBoundLogger

if TYPE_CHECKING:
    from service.metrics import Metrics

_QUERY_SECONDS: Final = 5


class OffsetResets:
    """With `auto.offset.reset=error` the client tells us of each lost position. For the reading thread."""

    def __init__(self, consumer: Consumer, topic: str, metrics: "Metrics", log: FilteringBoundLogger) -> None:
        self._consumer = consumer
        self._topic = topic
        self._metrics = metrics
        self._log = log
        self._out_of_range: set[int] = set()
        self._reached: dict[int, int] = {}

    def advance(self, next_offsets: dict[int, int]) -> None:
        """Remember how far each partition was read."""
        self._reached.update(next_offsets)

    def add(self, partition: int) -> None:
        """Note that the client found nothing where it was to read on."""
        self._out_of_range.add(partition)

    def forget(self, partitions: frozenset[int]) -> None:
        self._out_of_range -= partitions
        for partition in partitions:
            self._reached.pop(partition, None)

    def reset(self, unverified: Collection[int] = ()) -> list[TopicPartition]:
        """Move every lost position to the earliest offset and return what was moved, but for the unverified ones.

        Where the broker is away the rest is left to the next turn, so that no turn blocks for long. What is no longer
        assigned is forgotten: a message about it may have been on its way to us when it was taken away.
        """
        moved = []
        if self._out_of_range:
            self._out_of_range &= {place.partition for place in self._consumer.assignment()}
        for partition in sorted(self._out_of_range.difference(unverified)):
            try:
                moved.append(self._reset_position(partition))
            except KafkaException as error:
                self._log.warning("can't find the earliest offset yet", partition=partition, code=error.args[0].name())
                break
            self._out_of_range.remove(partition)
        return moved

    def _reset_position(self, partition: int) -> TopicPartition:
        place = TopicPartition(self._topic, partition)
        earliest, end = self._consumer.get_watermark_offsets(place, timeout=_QUERY_SECONDS)
        if (offset := self._position(place)) is not None:
            skipped = max(earliest - offset, offset - end, 0)
            self._metrics.offsets_skipped.inc(skipped)
            self._log.error(
                "an offset has left the topic, reading on at the earliest",
                partition=partition, offset=offset, earliest=earliest, end=end, skipped=skipped,
            )  # fmt: skip
        # The client refuses to seek on a partition whose position is lost; it is assigned anew instead.
        self._consumer.incremental_unassign([place])
        place.offset = earliest
        self._consumer.incremental_assign([place])
        return place

    def _position(self, place: TopicPartition) -> int | None:
        """Return where reading should have gone on; None where nothing was ever committed: that is no loss."""
        if place.partition in self._reached:
            return self._reached[place.partition]
        committed = self._consumer.committed([place], timeout=_QUERY_SECONDS)[0].offset
        return committed if committed >= 0 else None

"""How far behind the group's member is, by partition."""

from time import monotonic, time
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

if TYPE_CHECKING:
    from service.metrics import Metrics

_EVERY_SECONDS: Final = 1.0


class Lag:
    """Compares what is done with what the broker told with its last fetch; asks it nothing. For the reading thread."""

    def __init__(self, consumer: Consumer, topic: str, metrics: "Metrics") -> None:
        self._consumer = consumer
        self._topic = topic
        self._metrics = metrics
        self._done: dict[int, tuple[int, int]] = {}
        self._looked_at = 0.0

    def advance(self, next_offsets: dict[int, int], newest_ms: dict[int, int]) -> None:
        """Take over the next offset and the last record's timestamp of each partition of a batch that is done."""
        for partition, offset in next_offsets.items():
            self._done[partition] = (offset, newest_ms[partition])

    def learn(self, committed: dict[int, int]) -> None:
        """Take over where the group stands in partitions of which no batch is done yet."""
        for partition, offset in committed.items():
            self._done.setdefault(partition, (offset, _now_ms()))

    def forget(self, partitions: frozenset[int]) -> None:
        """Leave the partitions to the member that owns them now."""
        for partition in partitions & self._done.keys():
            del self._done[partition]
            self._metrics.lag_messages.remove(str(partition))
            self._metrics.lag_seconds.remove(str(partition))

    def look(self) -> None:
        """Set the gauges, once a second."""
        if monotonic() - self._looked_at < _EVERY_SECONDS:
            return
        self._looked_at = monotonic()
        for partition, (offset, newest_ms) in self._done.items():
            behind = max(self._end(partition) - offset, 0)
            age = max(_now_ms() - newest_ms, 0) / 1_000 if behind else 0
            self._metrics.lag_messages.labels(partition).set(behind)
            self._metrics.lag_seconds.labels(partition).set(age)

    def _end(self, partition: int) -> int:
        try:
            return self._consumer.get_watermark_offsets(TopicPartition(self._topic, partition), cached=True)[1]
        except KafkaException:
            return 0


def _now_ms() -> int:
    return round(time() * 1_000)

"""How far behind the group's member is, by partition."""

from collections import deque
from contextlib import suppress
from time import monotonic, time
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

if TYPE_CHECKING:
    from service.metrics import Metrics

_EVERY_SECONDS: Final = 1.0
"""How often the gauges are set."""
_ASK_EVERY_SECONDS: Final = 5.0
"""How often the broker is asked where partitions end while nothing is fetched, which would tell it."""
_ASK_SECONDS: Final = 0.5
"""How long that may take for all partitions together."""


class Lag:
    """Compares what is done with where partitions end, as each fetch tells. For the reading thread."""

    def __init__(self, consumer: Consumer, topic: str, metrics: "Metrics") -> None:
        self._consumer = consumer
        self._topic = topic
        self._metrics = metrics
        self._done: dict[int, tuple[int, int]] = {}
        self._looked_at = 0.0
        self._asked_ends: dict[int, int] = {}
        self._to_ask: deque[int] = deque()
        self._asked_at = 0.0

    def advance(self, next_offsets: dict[int, int], last_ms: dict[int, int]) -> None:
        """Take over the next offset and the last record's timestamp of each partition of a batch that is done."""
        for partition, offset in next_offsets.items():
            self._done[partition] = (offset, last_ms[partition])

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

    def look(self, *, is_fetching: bool) -> None:
        """Set the gauges, once a second. While nothing is fetched the ends are asked for, for half a second at most."""
        if monotonic() - self._looked_at < _EVERY_SECONDS:
            return
        self._looked_at = monotonic()
        if is_fetching:
            self._asked_ends.clear()
        elif monotonic() - self._asked_at >= _ASK_EVERY_SECONDS:
            self._ask()
        for partition, (offset, last_ms) in self._done.items():
            behind = max(self._end(partition) - offset, 0)
            age = max(_now_ms() - last_ms, 0) / 1_000 if behind else 0
            self._metrics.lag_messages.labels(partition).set(behind)
            self._metrics.lag_seconds.labels(partition).set(age)

    def _ask(self) -> None:
        """Ask for each partition's end, and leave what takes too long for the next time: polling must go on."""
        self._to_ask = self._to_ask or deque(self._done)
        deadline = monotonic() + _ASK_SECONDS
        while self._to_ask and (left := deadline - monotonic()) > 0:
            partition = self._to_ask.popleft()
            with suppress(KafkaException):
                self._asked_ends[partition] = self._consumer.get_watermark_offsets(self._place(partition), left)[1]
        self._asked_at = monotonic()

    def _end(self, partition: int) -> int:
        try:
            told = self._consumer.get_watermark_offsets(self._place(partition), cached=True)[1]
        except KafkaException:
            told = 0
        return max(told, self._asked_ends.get(partition, 0))

    def _place(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topic, partition)


def _now_ms() -> int:
    return round(time() * 1_000)

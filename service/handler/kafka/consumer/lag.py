"""How far behind the group's member is, by partition."""

from collections import deque
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic, time
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

if TYPE_CHECKING:
    from service.handler.kafka.consumer.statistics import PartitionEnd
    from service.metrics import Metrics

_EVERY_SECONDS: Final = 1.0
"""How often the gauges are set."""
_ASK_EVERY_SECONDS: Final = 5.0
"""How often the broker is asked where partitions end that are not fetched, which would tell it."""
_ASK_SECONDS: Final = 0.5
"""How long that may take for all partitions together."""
_MS: Final = 1_000


@dataclass(slots=True)
class _Place:
    """How far a partition is done, and since when it goes no further."""

    offset: int
    last_ms: int
    """Timestamp of the last record that is done, or a later time at which nothing waited behind it."""
    moved_at: float
    """When the offset last changed, or nothing waited behind it."""


class Lag:
    """Compares what is done with where partitions end. For the reading thread.

    What counts is what can be read: up to the last stable offset, where the first open transaction begins. What lies
    behind that is told apart.
    """

    def __init__(self, consumer: Consumer, topic: str, metrics: "Metrics") -> None:
        self._consumer = consumer
        self._topic = topic
        self._metrics = metrics
        self._gauges = (
            metrics.lag_messages, metrics.lag_seconds, metrics.open_transaction_messages,
            metrics.partition_stalled_seconds,
        )  # fmt: skip
        self._places: dict[int, _Place] = {}
        self._ends: Mapping[int, PartitionEnd] = {}
        self._asked: dict[int, tuple[int, int]] = {}
        self._to_ask: deque[int] = deque()
        self._asked_at = 0.0
        self._looked_at = 0.0

    @property
    def done(self) -> dict[int, int]:
        """By partition, where its position is known: the next offset."""
        return {partition: place.offset for partition, place in self._places.items()}

    def advance(self, next_offsets: Mapping[int, int], last_ms: Mapping[int, int]) -> None:
        """Take over the next offset and the last record's timestamp of each partition of a batch that is done."""
        for partition, offset in next_offsets.items():
            self._places[partition] = _Place(offset, last_ms.get(partition, _now_ms()), monotonic())

    def learn(self, committed: Mapping[int, int], ends: "Mapping[int, PartitionEnd]") -> None:
        """Take over where the group stands in partitions of which no batch is done yet, and where partitions end."""
        self._ends = ends
        for partition, offset in committed.items():
            self._places.setdefault(partition, _Place(offset, _now_ms(), monotonic()))

    def forget(self, partitions: frozenset[int]) -> None:
        """Leave the partitions to the member that owns them now."""
        for partition in partitions & self._places.keys():
            del self._places[partition]
            for gauge in self._gauges:
                with suppress(KeyError):
                    gauge.remove(str(partition))

    def update(self, not_fetched: Collection[int]) -> None:
        """Set the gauges, once a second. The ends of what is not fetched are asked for, for half a second at most."""
        if monotonic() - self._looked_at < _EVERY_SECONDS:
            return
        self._looked_at = monotonic()
        self._ask(not_fetched)
        for partition, place in self._places.items():
            self._set(partition, place)

    def _set(self, partition: int, place: _Place) -> None:
        start, end = self._readable(partition)
        behind = max(end - max(place.offset, start), 0)
        ends = self._ends.get(partition)
        locked = ends.locked if ends else 0
        now, waits = monotonic(), bool(behind or locked)
        if not behind:
            place.last_ms = max(place.last_ms, _now_ms())
        if not waits:
            place.moved_at = now
        self._metrics.lag_messages.labels(partition).set(behind)
        self._metrics.lag_seconds.labels(partition).set(max(_now_ms() - place.last_ms, 0) / _MS if behind else 0)
        self._metrics.open_transaction_messages.labels(partition).set(locked)
        self._metrics.partition_stalled_seconds.labels(partition).set(now - place.moved_at)

    def _ask(self, not_fetched: Collection[int]) -> None:
        """Ask for each partition's end, and leave what takes too long for the next time: polling must go on."""
        for partition in self._asked.keys() - set(not_fetched):
            del self._asked[partition]
        if not not_fetched or monotonic() - self._asked_at < _ASK_EVERY_SECONDS:
            return
        self._to_ask = self._to_ask or deque(partition for partition in self._places if partition in not_fetched)
        deadline = monotonic() + _ASK_SECONDS
        while self._to_ask and (left := deadline - monotonic()) > 0:
            partition = self._to_ask.popleft()
            with suppress(KafkaException):
                self._asked[partition] = self._consumer.get_watermark_offsets(self._place(partition), left)
        self._asked_at = monotonic()

    def _readable(self, partition: int) -> tuple[int, int]:
        """Return the first offset and the last stable one, as the broker told them when asked or in the last fetch."""
        if asked := self._asked.get(partition):
            return asked
        start = end = 0
        with suppress(KafkaException):
            start, end = self._consumer.get_watermark_offsets(self._place(partition), cached=True)
        ends = self._ends.get(partition)
        return start, ends.stable if ends and ends.locked else end  # `end` lies behind open transactions

    def _place(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topic, partition)


def _now_ms() -> int:
    return round(time() * _MS)

"""The assigned partitions of a simulated client: positions, prefetched records, pauses."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, Message, TopicPartition

from tests.simulation.broker import Broker
from tests.simulation.coordinator import Coordinator, Key
from tests.simulation.partition_log import Payload

MAX_PREFETCHED: Final = 8


def message(key: Key, offset: int, payload: Payload | None = None, error: int | None = None) -> Message:
    """Return a record, or an error in place of one."""
    problem = None if error is None else KafkaError(error)
    if payload is None:
        return Message(*key, offset, None, None, None, problem, (0, -1))
    headers: Any = payload.headers
    return Message(*key, offset, payload.key, payload.value, headers, problem, (1, payload.timestamp_ms))


@dataclass(slots=True)
class Position:
    partition: TopicPartition
    next: int | None = None
    """The next offset to fetch; None until the committed one is known, and after an error."""
    awaits_committed: bool = False
    prefetched: deque[Message] = field(default_factory=deque)
    end_reported: int = -1

    @property
    def key(self) -> Key:
        return self.partition.topic, self.partition.partition

    def move(self, offset: int) -> None:
        self.next, self.end_reported = offset, -1
        self.prefetched.clear()


class Positions:
    """`resets`: whether a position out of range moves to the beginning, as with `auto.offset.reset=earliest`."""

    def __init__(self, broker: Broker, coordinator: Coordinator, *, resets: bool) -> None:
        self._broker = broker
        self._coordinator = coordinator
        self._random = broker.random
        self._resets = resets
        self._positions: dict[Key, Position] = {}
        self._paused: set[Key] = set()
        self.watermarks: dict[Key, tuple[int, int]] = {}
        """Of the last fetches."""

    @property
    def keys(self) -> frozenset[Key]:
        return frozenset(self._positions)

    @property
    def partitions(self) -> list[TopicPartition]:
        return [TopicPartition(*key) for key in self._positions]

    def get(self, key: Key) -> Position | None:
        return self._positions.get(key)

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        for each in partitions:
            position = Position(TopicPartition(each.topic, each.partition))
            if position.key in self._positions:
                raise KafkaException(KafkaError(KafkaError._CONFLICT))
            self._positions[position.key] = position
            self._start(position, each.offset)

    def unassign(self, partitions: Iterable[TopicPartition]) -> None:
        for each in partitions:
            if self._positions.pop((each.topic, each.partition), None) is None:
                raise KafkaException(KafkaError(KafkaError._INVALID_ARG))

    def seek(self, partition: TopicPartition) -> None:
        position = self._positions.get((partition.topic, partition.partition))
        if position is None or position.next is None:
            raise KafkaException(KafkaError(KafkaError._STATE))
        self._start(position, partition.offset)

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Drop what was prefetched: it is fetched again."""
        for each in partitions:
            key = (each.topic, each.partition)
            self._paused.add(key)
            position = self._positions.get(key)
            if position is not None and position.prefetched:
                first = position.prefetched[0].offset()
                assert first is not None
                position.move(first)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Report the ends of paused partitions again."""
        for key in self._paused & {(each.topic, each.partition) for each in partitions}:
            self._paused.remove(key)
            if (position := self._positions.get(key)) is not None:
                position.end_reported = -1

    def take(self, count: int) -> list[Message]:
        """Return at most `count` messages, without waiting."""
        positions = [each for key, each in self._positions.items() if key not in self._paused]
        if len(positions) > 1:
            self._random.shuffle(positions)
        messages: list[Message] = []
        for position in positions:
            if len(messages) < count:
                messages += self._take_from(position, count - len(messages))
        return messages

    def _start(self, position: Position, offset: int) -> None:
        log = self._broker.log(position.key)
        if offset >= 0:
            position.move(offset)
        elif offset == OFFSET_BEGINNING:
            position.move(log.start if log else 0)
        else:
            position.awaits_committed = True
            self._fetch_committed(position)

    def _fetch_committed(self, position: Position) -> None:
        """Start at the committed offset as soon as the coordinator answers, which waits for open transactions."""
        if self._positions.get(position.key) is not position or not position.awaits_committed:
            return
        coordinator = self._coordinator
        if not self._broker.is_up or coordinator.is_pending(position.key):
            self._later(0.1, lambda: self._fetch_committed(position))
            return
        position.awaits_committed = False
        committed = coordinator.offsets.get(position.key)
        if committed is None:
            self._reset(position, 0)
        else:
            position.move(committed.offset)

    def _reset(self, position: Position, offset: int) -> None:
        """Handle that the partition has no such offset, or none is committed."""
        log = self._broker.log(position.key)
        if self._resets:
            position.move(log.start if log else 0)
        else:
            position.prefetched.append(message(position.key, offset, error=KafkaError._AUTO_OFFSET_RESET))
            position.next = None

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        self._broker.scheduler.call_later(seconds + self._broker.latency(), call)

    def _take_from(self, position: Position, count: int) -> list[Message]:
        if not position.prefetched and position.next is not None and self._broker.is_up:
            self._fetch(position)
        return [position.prefetched.popleft() for _ in range(min(count, len(position.prefetched)))]

    def _fetch(self, position: Position) -> None:
        log, key = self._broker.log(position.key), position.key
        assert position.next is not None
        if log is None:
            return
        self.watermarks[key] = log.start, log.end
        if not log.start <= position.next <= log.end:
            self._reset(position, position.next)
            return
        if position.next == position.end_reported == log.last_stable:
            return
        fetched = log.fetch(position.next, self._random.randint(1, MAX_PREFETCHED))
        position.prefetched += [message(key, each.offset, each.payload) for each in fetched.entries]
        position.next = fetched.next
        if fetched.next == log.last_stable != position.end_reported:
            position.end_reported = fetched.next
            position.prefetched.append(message(key, fetched.next, error=KafkaError._PARTITION_EOF))

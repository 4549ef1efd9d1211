"""Fakes of confluent_kafka.Consumer and AdminClient.

`tests/meta/test_fake_consumer.py` runs one contract on the consumer and on a client of librdkafka's mock cluster.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from struct import pack
from types import SimpleNamespace
from typing import Any, Final

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_INVALID,
    KafkaError,
    KafkaException,
    Message,
    TopicCollection,
    TopicPartition,
)

TOPIC: Final = "orders"
TIMESTAMP_MS: Final = 1_700_000_000_000
UNKNOWN_WATERMARKS: Final = (OFFSET_INVALID, OFFSET_INVALID)
NO_OFFSET: Final = -1000
"""TopicPartition's default offset: start at the committed one."""


def message(
    partition: int,
    offset: int,
    value: bytes | None = None,
    error: KafkaError | None = None,
    leader_epoch: int = -1,
) -> Message:
    """Return a record, or an error in place of one."""
    timestamp = (1, TIMESTAMP_MS + offset)
    return Message(TOPIC, partition, offset, None, value, None, error, timestamp, leader_epoch=leader_epoch)


@dataclass
class FakeLog:
    """The records of a partition. `start` is the offset of the first one that is left."""

    start: int = 0
    values: list[bytes] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.start + len(self.values)


class FakeConsumer:
    """A member of a group that reads one topic. Its broker answers at once; `failures` are raised once, by method."""

    def __init__(self, properties: dict[str, Any] | None = None, **_: object) -> None:
        self._properties = properties or {}
        self.logs: defaultdict[int, FakeLog] = defaultdict(FakeLog)
        self.committed_offsets: dict[int, TopicPartition] = {}
        self.failures: dict[str, KafkaError] = {}
        self.committed_errors: dict[int, KafkaError] = {}
        """Errors of single partitions, in the next answer of `committed`."""
        self.commit_errors: deque[KafkaError] = deque()
        """Answers of the broker to the next commits."""
        self.generation = -1
        """Generation of the group; positive while this is a member."""
        self.is_closed = False
        self.subscription: dict[str, Callable[..., None]] = {}
        self.sought: list[tuple[int, int, int | None]] = []
        """Partition, offset and leader epoch of each seek."""
        self.queries: list[int] = []
        """Partitions whose watermarks were queried."""
        self.paused: set[int] = set()
        self._positions: dict[int, int | None] = {}
        """Next offset to read, by assigned partition; None from an error to the next assignment."""
        self._assigned: dict[int, TopicPartition] = {}
        self._watermarks: dict[int, tuple[int, int]] = {}
        self._callbacks: deque[Callable[[], None]] = deque()
        self._errors: deque[Message] = deque()
        self._ends_reported: dict[int, int] = {}

    # What tests do

    def append(self, partition: int, *values: bytes) -> None:
        self.logs[partition].values += values

    def add_error(self, error: KafkaError, partition: int = 0, offset: int = 0) -> None:
        """Deliver an error in place of a message."""
        self._errors.append(message(partition, offset, error=error))

    def at_next_poll(self, call: Callable[[], None]) -> None:
        """Call this in the next poll, in the order of registration."""
        self._callbacks.append(call)

    def call_back(self, name: str, *arguments: object) -> None:
        """Call the callback of this property in the next poll."""
        self._callbacks.append(lambda: self._properties[name](*arguments))

    def rebalance(self, kind: str, *partitions: int) -> None:
        """Call `on_assign`, `on_revoke` or `on_lost` in the next poll."""
        topic_partitions = [TopicPartition(TOPIC, partition) for partition in partitions]
        self._callbacks.append(lambda: self.subscription[kind](self, topic_partitions))

    @property
    def committed_by_partition(self) -> dict[int, int]:
        return {partition: each.offset for partition, each in self.committed_offsets.items()}

    @property
    def positions(self) -> dict[int, int | None]:
        """Next offset to read, by assigned partition."""
        return dict(self._positions)

    # The methods of confluent_kafka.Consumer

    def subscribe(self, _: Sequence[str], **callbacks: Callable[..., None]) -> None:
        self._raise("subscribe")
        self.subscription = callbacks

    def consume(self, num_messages: int = 1, timeout: float = -1) -> list[Message]:
        """Serve callbacks, then return messages. Never blocks."""
        assert timeout >= 0
        self._raise("consume")
        while self._callbacks:
            self._callbacks.popleft()()
        messages = [self._errors.popleft() for _ in range(min(num_messages, len(self._errors)))]
        for partition in sorted(self._positions.keys() - self.paused):
            messages += self._fetch(partition, num_messages - len(messages))
        return messages

    def assignment(self) -> list[TopicPartition]:
        return list(self._assigned.values())

    def incremental_assign(self, partitions: Iterable[TopicPartition]) -> None:
        for each in partitions:
            if each.partition in self._assigned:
                raise KafkaException(KafkaError(KafkaError._CONFLICT))
            self._assigned[each.partition] = each
            self._positions[each.partition] = self._start(each)
            self._ends_reported.pop(each.partition, None)

    def incremental_unassign(self, partitions: Iterable[TopicPartition]) -> None:
        for each in partitions:
            if self._assigned.pop(each.partition, None) is None:
                raise KafkaException(KafkaError(KafkaError._INVALID_ARG))
            del self._positions[each.partition]

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self.paused |= {each.partition for each in partitions}

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        for resumed in self.paused & {each.partition for each in partitions}:
            self.paused.remove(resumed)
            self._ends_reported.pop(resumed, None)

    def seek(self, partition: TopicPartition) -> None:
        self._raise("seek")
        self.sought.append((partition.partition, partition.offset, partition.leader_epoch))
        if self._positions.get(partition.partition) is None:
            raise KafkaException(KafkaError(KafkaError._STATE))
        self._positions[partition.partition] = self._start(partition)
        self._ends_reported.pop(partition.partition, None)

    def get_watermark_offsets(
        self, partition: TopicPartition, timeout: float = -1, *, cached: bool = False
    ) -> tuple[int, int]:
        if cached:
            return self._watermarks.get(partition.partition, UNKNOWN_WATERMARKS)
        assert timeout > 0
        self._raise("get_watermark_offsets")
        self.queries.append(partition.partition)
        log = self.logs[partition.partition]
        return log.start, log.end

    def committed(self, partitions: Sequence[TopicPartition], timeout: float = -1) -> list[TopicPartition]:
        assert timeout > 0
        self._raise("committed")
        none = [TopicPartition(TOPIC, each.partition, OFFSET_INVALID) for each in partitions]
        answers = [self.committed_offsets.get(each.partition, each) for each in none]
        return [self._with_error(each) for each in answers]

    def commit(self, *, offsets: Sequence[TopicPartition], asynchronous: bool) -> None:
        """Commit when the next poll serves callbacks, which calls `on_commit`."""
        assert asynchronous
        self._raise("commit")

        def answer() -> None:
            error = self.commit_errors.popleft() if self.commit_errors else None
            if error is None:
                self.committed_offsets |= {each.partition: each for each in offsets}
            self._properties.get("on_commit", lambda *_: None)(error, [*offsets])

        self._callbacks.append(answer)

    def consumer_group_metadata(self) -> bytes:
        return b"CGMDv2:" + pack("=i", self.generation)

    def close(self) -> None:
        self.is_closed = True
        self._raise("close")

    def _with_error(self, answer: TopicPartition) -> Any:
        """Return the answer, or an error in place of it: `TopicPartition.error` cannot be set."""
        if error := self.committed_errors.pop(answer.partition, None):
            return SimpleNamespace(topic=TOPIC, partition=answer.partition, offset=OFFSET_INVALID, error=error)
        return answer

    def _raise(self, method: str) -> None:
        if error := self.failures.pop(method, None):
            raise KafkaException(error)

    def _start(self, partition: TopicPartition) -> int | None:
        if partition.offset >= 0:
            return partition.offset
        if partition.offset == OFFSET_BEGINNING:
            return self.logs[partition.partition].start
        committed = self.committed_offsets.get(partition.partition)
        if committed is None:
            self.add_error(KafkaError(KafkaError._AUTO_OFFSET_RESET), partition.partition)
        return None if committed is None else committed.offset

    def _fetch(self, partition: int, count: int) -> list[Message]:
        position, log = self._positions[partition], self.logs[partition]
        if position is None or count <= 0:
            return []
        self._watermarks[partition] = log.start, log.end
        if not log.start <= position <= log.end:
            self._positions[partition] = None
            return [message(partition, position, error=KafkaError(KafkaError._AUTO_OFFSET_RESET))]
        values = log.values[position - log.start :][:count]
        self._positions[partition] = position + len(values)
        messages = [message(partition, position + index, value) for index, value in enumerate(values)]
        return messages + self._end_of_partition(partition, count - len(messages))

    def _end_of_partition(self, partition: int, count: int) -> list[Message]:
        """Report each end that is reached once."""
        end = self.logs[partition].end
        is_new = self._positions[partition] == end and self._ends_reported.get(partition) != end
        if not (self._properties.get("enable.partition.eof") and is_new and count):
            return []
        self._ends_reported[partition] = end
        return [message(partition, end, error=KafkaError(KafkaError._PARTITION_EOF))]


class FakeAdmin:
    """Answers lookups of TOPIC with `answers`, in order, then with `topic_id`; without one, not at all.

    `other_ids` are those of other topics.
    """

    def __init__(self, topic_id: str | None = None) -> None:
        self.topic_id = topic_id
        self.answers: deque[str | KafkaError] = deque()
        self.other_ids: dict[str, str] = {}
        self.lookups = 0
        self.metadata_requests = 0

    def list_topics(self, timeout: float) -> None:
        assert timeout > 0
        self.metadata_requests += 1

    def describe_topics(self, topics: TopicCollection, request_timeout: float) -> dict[str, Future[Any]]:
        assert request_timeout > 0
        self.lookups += 1
        return {name: _description(self._answer(name)) for name in topics.topic_names}

    def _answer(self, name: str) -> str | KafkaError | None:
        if name != TOPIC:
            return self.other_ids.get(name, KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
        return self.answers.popleft() if self.answers else self.topic_id


def _description(answer: str | KafkaError | None) -> Future[Any]:
    future: Future[Any] = Future()
    if isinstance(answer, KafkaError):
        future.set_exception(KafkaException(answer))
    elif answer is not None:
        future.set_result(SimpleNamespace(topic_id=answer))
    return future

"""A simulated Kafka cluster: topics, one consumer group, transactions, and requests that are slow, lost or rejected."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from random import Random
from typing import Final, NamedTuple, TypeVar

from confluent_kafka import KafkaError, KafkaException

from service.handler.kafka.client.topic_id import TopicId
from tests.simulation.coordinator import Coordinator, Key
from tests.simulation.partition_log import PartitionLog
from tests.simulation.scheduler import Scheduler
from tests.simulation.timeline import Timeline

MAX_LATENCY_SECONDS: Final = 0.01
CHECK_SESSIONS_SECONDS: Final = 0.5
CHECK_TRANSACTIONS_SECONDS: Final = 10.0
"""transaction.abort.timed.out.transaction.cleanup.interval.ms"""
METADATA_SECONDS: Final = 10.0
"""topic.metadata.refresh.interval.ms"""

T = TypeVar("T")


class Request(Enum):
    __hash__ = object.__hash__  # that of Enum takes long

    COMMIT = "commit"
    COMMITTED = "committed"
    WATERMARKS = "watermarks"
    DESCRIBE = "describe_topics"
    METADATA = "list_topics"
    PRODUCE = "produce"
    INIT_TRANSACTIONS = "init_transactions"
    SEND_OFFSETS = "send_offsets_to_transaction"
    COMMIT_TRANSACTION = "commit_transaction"
    ABORT_TRANSACTION = "abort_transaction"


class Loss(Enum):
    """What is lost of a request."""

    REQUEST = auto()
    ANSWER = auto()
    """The request takes effect."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to the next request of a kind. `error` rejects it; `seconds` delay it."""

    loss: Loss | None = None
    error: int | None = None
    seconds: float = 0.0


NORMAL: Final = Fate()


@dataclass(slots=True)
class Topic:
    id: str
    logs: list[PartitionLog]
    max_message_bytes: int
    commit_metadata: str = field(init=False)
    """What commits of its offsets have as metadata."""

    def __post_init__(self) -> None:
        self.commit_metadata = TopicId(self.id).commit_metadata


class _Epoch(NamedTuple):
    number: int
    expires_at: float | None
    """When the coordinator aborts the transaction; None if none is open."""


class Broker:
    def __init__(self, scheduler: Scheduler, random: Random, timeline: Timeline, coordinator: Coordinator) -> None:
        self.scheduler = scheduler
        self.random = random
        self.timeline = timeline
        self.coordinator = coordinator
        """Of the group of the consumers."""
        self._other_groups: dict[str, Coordinator] = {}
        self.topics: dict[str, Topic] = {}
        self.fates: defaultdict[Request, deque[Fate]] = defaultdict(deque)
        self._down_until = 0.0
        self._producers: dict[str, _Epoch] = {}
        self._numbers = 0
        scheduler.call_later(CHECK_SESSIONS_SECONDS, self._check_sessions)
        scheduler.call_later(CHECK_TRANSACTIONS_SECONDS, self._check_transactions)

    @property
    def is_up(self) -> bool:
        return self.scheduler.now >= self._down_until

    def latency(self) -> float:
        return self.random.uniform(0, MAX_LATENCY_SECONDS)

    def create_topic(self, name: str, partitions: int, max_message_bytes: int = 2**20) -> None:
        self._numbers += 1
        self.topics[name] = Topic(f"id-{self._numbers}", [PartitionLog() for _ in range(partitions)], max_message_bytes)
        self._refresh_metadata()

    def delete_topic(self, name: str) -> None:
        del self.topics[name]
        self._refresh_metadata()
        for group in (self.coordinator, *self._other_groups.values()):
            group.offsets = {key: each for key, each in group.offsets.items() if key[0] != name}

    def add_group(self, name: str, coordinator: Coordinator) -> None:
        """Add a group without members, which only commits offsets, unless it exists."""
        self._other_groups.setdefault(name, coordinator)

    def group(self, name: str) -> Coordinator:
        return self._other_groups.get(name, self.coordinator)

    def log(self, key: Key) -> PartitionLog | None:
        topic, partition = key
        found = self.topics.get(topic)
        return found.logs[partition] if found and partition < len(found.logs) else None

    def keys(self, topic: str) -> list[Key]:
        found = self.topics.get(topic)
        return [(topic, number) for number in range(len(found.logs))] if found else []

    def stop(self, seconds: float) -> None:
        """Answer nothing for these seconds. Afterwards each member has a whole session."""
        self._down_until = max(self._down_until, self.scheduler.now + seconds)
        self.scheduler.call_at(self._down_until, lambda: self.coordinator.restart_sessions(self.scheduler.now))

    def take_fate(self, request: Request) -> Fate:
        fates = self.fates[request]
        if not fates:
            return NORMAL
        self.timeline.add(f"{request.value}: {fates[0]}")
        return fates.popleft()

    def call(self, request: Request, seconds: float, effect: Callable[[], T]) -> T:
        """Block for at most `seconds`. Raises KafkaException."""
        deadline = self.scheduler.now + seconds
        fate = self.take_fate(request)
        self._wait(fate.seconds + self.latency(), deadline)
        if fate.loss is Loss.REQUEST:
            self._time_out(deadline)
        if fate.error is not None:
            raise KafkaException(error_of(fate.error))
        if not self.scheduler.wait(lambda: self.is_up, deadline - self.scheduler.now):
            self._time_out(deadline)
        result = effect()
        if fate.loss is Loss.ANSWER:
            self._time_out(deadline)
        self._wait(self.latency(), deadline)
        return result

    def send(
        self, request: Request, seconds: float, effect: Callable[[], T], answer: Callable[[T | KafkaError], None]
    ) -> None:
        """Send a request without waiting. `answer` is called between two steps."""
        fate, scheduler = self.take_fate(request), self.scheduler
        deadline = scheduler.now + max(seconds, fate.seconds + MAX_LATENCY_SECONDS)
        answered = False

        def reply(result: T | KafkaError) -> None:
            nonlocal answered
            if not answered:
                answered = True
                answer(result)

        def arrive() -> None:
            if answered:
                return
            if not self.is_up:
                scheduler.call_later(0.1, arrive)
                return
            result: T | KafkaError = error_of(fate.error) if fate.error is not None else effect()
            if fate.loss is not Loss.ANSWER:
                scheduler.call_later(self.latency(), lambda: reply(result))

        scheduler.call_at(deadline, lambda: reply(KafkaError(KafkaError._TIMED_OUT)))
        if fate.loss is not Loss.REQUEST:
            scheduler.call_later(fate.seconds + self.latency(), arrive)

    def init_producer(self, transaction: str) -> int:
        """Fence the previous producers of a transactional id, abort their transaction, and return the new epoch."""
        self.end_transaction(transaction, commit=False)
        return self._bump(transaction)

    def check_epoch(self, transaction: str, epoch: int) -> None:
        """Raise KafkaException if the producer was fenced."""
        if self._producers[transaction].number != epoch:
            raise KafkaException(KafkaError(KafkaError._FENCED, "fenced", fatal=True))

    def begin_transaction(self, transaction: str, seconds: float) -> None:
        """Record the first record or offset of a transaction, which is aborted after these seconds."""
        known = self._producers[transaction]
        if known.expires_at is None:
            self._producers[transaction] = known._replace(expires_at=self.scheduler.now + seconds)

    def end_transaction(self, transaction: str, *, commit: bool) -> None:
        for log in self._logs():
            log.end_transaction(transaction, commit=commit)
        self.coordinator.end_transaction(transaction, commit=commit)
        if transaction in self._producers:
            self._producers[transaction] = self._producers[transaction]._replace(expires_at=None)

    def _refresh_metadata(self) -> None:
        """Let the group assign partitions that were created or deleted, if that is still so when its members notice."""
        delay = self.random.uniform(0, METADATA_SECONDS)
        self.scheduler.call_later(delay, lambda: self.coordinator.on_metadata(self.scheduler.now))

    def _logs(self) -> Iterable[PartitionLog]:
        return [log for topic in self.topics.values() for log in topic.logs]

    def _bump(self, transaction: str) -> int:
        known = self._producers.get(transaction)
        self._producers[transaction] = _Epoch(known.number + 1 if known else 0, None)
        return self._producers[transaction].number

    def _wait(self, seconds: float, deadline: float) -> None:
        self.scheduler.delay(min(seconds, max(deadline - self.scheduler.now, 0)))
        if self.scheduler.now >= deadline:
            self._time_out(deadline)

    def _time_out(self, deadline: float) -> None:
        self.scheduler.delay(deadline - self.scheduler.now)
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    def _check_sessions(self) -> None:
        if self.is_up:
            for member in self.coordinator.expire(self.scheduler.now):
                self.timeline.add(f"the session of {member} expires")
        self.scheduler.call_later(CHECK_SESSIONS_SECONDS, self._check_sessions)

    def _check_transactions(self) -> None:
        for transaction, epoch in [*self._producers.items()]:
            if self.is_up and epoch.expires_at is not None and epoch.expires_at <= self.scheduler.now:
                self.timeline.add(f"the transaction of {transaction} expires")
                self.end_transaction(transaction, commit=False)
                self._bump(transaction)
        self.scheduler.call_later(CHECK_TRANSACTIONS_SECONDS, self._check_transactions)


_RETRIABLE: Final = frozenset({KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.NOT_COORDINATOR})
_FATAL: Final = frozenset({KafkaError._FENCED})


def error_of(code: int) -> KafkaError:
    return KafkaError(code, None, fatal=code in _FATAL, retriable=code in _RETRIABLE)

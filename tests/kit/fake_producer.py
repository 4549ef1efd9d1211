"""A fake of a transactional confluent_kafka.Producer, and of the Kafka that it is connected to.

`tests/integration/test_transactions.py` runs one contract on the producer and on one of librdkafka with a real Kafka.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from tests.kit.fake_consumer import FakeConsumer

UNANSWERED = KafkaError._TIMED_OUT

Produced = tuple[bytes | None, bytes | None]
"""Key and value."""


@dataclass
class FakeKafka:
    """A topic of dead letters, and a group. Each call raises its error in `failures` once, without taking effect."""

    group: FakeConsumer = field(default_factory=FakeConsumer)
    """A client of the group."""
    visible: list[Produced] = field(default_factory=list)
    """The messages of committed transactions."""
    failures: dict[str, KafkaError] = field(default_factory=dict)
    lost_answers: set[str] = field(default_factory=set)
    """Calls that take effect, and then raise UNANSWERED once."""
    max_message_bytes: int = 10_000
    slow_flushes: int = 0
    """How many calls of `flush` return before a message is acknowledged."""
    calls: list[str] = field(default_factory=list)
    answers: Event = field(default_factory=Event)
    """Sending offsets blocks while it is cleared."""

    def __post_init__(self) -> None:
        self.answers.set()

    def call(self, name: str, effect: Callable[[], None] = lambda: None) -> None:
        self.calls.append(name)
        if error := self.failures.pop(name, None):
            raise KafkaException(error)
        effect()
        if name in self.lost_answers:
            self.lost_answers.remove(name)
            raise KafkaException(KafkaError(UNANSWERED))


class FakeProducer:
    """A producer of one transactional id: a new one replaces the previous one, whose transaction is aborted."""

    def __init__(self, kafka: FakeKafka) -> None:
        self._kafka = kafka
        self._messages: list[Produced] = []
        self._offsets: list[TopicPartition] = []
        self._reports: list[tuple[Callable[..., None], KafkaError | None]] = []
        self._must_abort = False

    def init_transactions(self, timeout: float) -> None:
        assert isinstance(timeout, float)
        self._kafka.call("init")

    def begin_transaction(self) -> None:
        self._reports, self._must_abort = [], False
        self._kafka.call("begin")

    def produce(
        self,
        _: str,
        value: bytes | None,
        key: bytes | None,
        _partition: int = -1,
        *,
        headers: Any = None,
        on_delivery: Callable[..., None] = lambda *_: None,
    ) -> None:
        assert headers is None or headers
        is_too_large = len(key or b"") + len(value or b"") > self._kafka.max_message_bytes
        error = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE) if is_too_large else self._kafka.failures.pop("produce", None)
        self._reports.append((on_delivery, error))
        self._messages.append((key, value))

    def flush(self, _: float) -> int:
        """Report the messages one by one. After a rejected one, the client drops the others."""
        if self._reports and self._kafka.slow_flushes:
            self._kafka.slow_flushes -= 1
            return len(self._reports)
        while self._reports:
            report, error = self._reports.pop(0)
            report(KafkaError(KafkaError._PURGE_QUEUE) if self._must_abort else error, None)
            self._must_abort |= error is not None
        return 0

    def send_offsets_to_transaction(self, offsets: Sequence[TopicPartition], metadata: bytes, timeout: float) -> None:
        assert isinstance(timeout, float)
        assert metadata == self._kafka.group.consumer_group_metadata()
        self._kafka.answers.wait()
        self._offsets = [*offsets]
        self._kafka.call("offsets")

    def commit_transaction(self, timeout: float) -> None:
        assert isinstance(timeout, float)
        if self._must_abort:
            raise KafkaException(KafkaError(KafkaError._STATE))
        self._kafka.call("commit", self._take_effect)

    def abort_transaction(self, timeout: float) -> None:
        assert isinstance(timeout, float)
        self._drop()
        self._kafka.call("abort")

    def purge(self) -> None:
        self._reports.clear()
        self._kafka.call("purge")

    def _take_effect(self) -> None:
        self._kafka.visible += self._messages
        self._kafka.group.committed_offsets |= {each.partition: each for each in self._offsets}
        self._drop()

    def _drop(self) -> None:
        self._messages, self._offsets = [], []

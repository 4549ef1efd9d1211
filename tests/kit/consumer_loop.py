"""The consumer's loop with a fake client, which runs a script, and the real use case on fake stores."""

from collections.abc import Callable, Iterator
from threading import Event
from time import monotonic
from typing import Any, cast

import structlog
from confluent_kafka import Message, TopicPartition
from msgspec.json import encode
from structlog.testing import capture_logs
from structlog.typing import EventDict

from service.app.consumer.loop_wiring import GroupClients, LoopWiring
from service.config import CircuitBreakerSettings, Settings
from service.config.settings import BatchSettings, RebalanceSettings
from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.client.topic_id import NO_TOPIC_ID
from service.handler.kafka.consumer.batch_builder import BatchBuilder
from service.handler.kafka.consumer.reports.retry_report import RetryReport
from service.metrics import ConsumerMetrics
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.batch import Batch
from service.usecases.circuit_breaker import CircuitBreaker
from service.usecases.ingest import Ingest, Write
from service.usecases.outcome import Outcome
from tests.kit.decoding import message_decoder
from tests.kit.factories import order_document
from tests.kit.fake_consumer import TOPIC, FakeAdmin, FakeConsumer
from tests.kit.fakes import FakeDeadLetters, FakeStore
from tests.kit.order_partitions import numbered
from tests.kit.policies import circuit_breaker_policy, retry_backoff

SECONDS = 10.0
ORDER = encode(order_document())
BAD = b"{"
OPEN_AFTER_TWO = circuit_breaker_policy(max_consecutive=2, retry_after=0)
UNTIL_STOPPED = retry_backoff(initial_backoff=60, max_backoff=60)

Script = Iterator[Callable[[], bool]]


class ScriptedConsumer(FakeConsumer):
    """Whenever no message is left, runs the script until the next condition that is still false."""

    def __init__(self, properties: dict[str, Any]) -> None:
        super().__init__(properties)
        self.script: Script = iter(())
        self.on_end: Callable[[], None] = lambda: None
        self._condition: Callable[[], bool] = lambda: True
        self._deadline = monotonic() + SECONDS

    def consume(self, num_messages: int = 1, timeout: float = -1) -> list[Message]:
        messages = super().consume(num_messages, timeout)
        while not messages and self._condition():
            try:
                self._condition = next(self.script)
            except StopIteration:
                self.on_end()
                break
        assert monotonic() < self._deadline, "the script does not continue"
        return messages


class BatchGate:
    """Middleware of Ingest that writes batches while `gate` is open."""

    def __init__(self) -> None:
        self.gate = Event()
        self.gate.set()
        self.started: list[dict[int, int]] = []
        """First offset of each batch, by partition."""
        self.finished: list[dict[int, int]] = []
        """Offset to commit of each batch, by owned partition."""

    def __call__(self, write: Write) -> Write:
        def gated(batch: Batch) -> Outcome:
            self.started.append(numbered(batch.first_offsets))
            assert self.gate.wait(SECONDS)
            outcome = write(batch)
            self.finished.append(numbered(batch.commit_offsets))
            return outcome

        return gated


class LoopSetup:
    """A consumer of a topic without an id, with its fakes."""

    def __init__(
        self,
        metrics: ConsumerMetrics,
        *,
        dead_letters: FakeDeadLetters | None = None,
        breaker: CircuitBreakerSettings | None = None,
        revoke_timeout: float = 5,
        max_messages: int = 4_000,
        pause_after: float = 1,
    ) -> None:
        breaker = breaker or circuit_breaker_policy()
        self.stop = ShutdownEvent()
        self.store = FakeStore()
        self.dead_letters = dead_letters or FakeDeadLetters()
        self.batches = BatchGate()
        self.ingest = Ingest(
            store=self.store,
            dead_letters=self.dead_letters,
            breaker=CircuitBreaker(breaker),
            backoff=UNTIL_STOPPED,
            stop=self.stop,
            observer=RetryReport(metrics, structlog.get_logger()),
            middleware=self.batches,
        )
        self.admin = FakeAdmin()
        self.metrics = metrics
        self.created: list[ScriptedConsumer] = []
        self.group = ConsumerGroup((TOPIC,))
        self.group.set_topic_id(TOPIC, NO_TOPIC_ID)
        self.consumer = LoopWiring(
            clients=GroupClients(group=self.group, connect=cast("Any", self._create), admin=cast("Any", self.admin)),
            builder=BatchBuilder(message_decoder(), FakeStore.prepare, metrics),
            ingest=self.ingest,
            settings=Settings(
                batch=BatchSettings(max_messages=max_messages),
                circuit_breaker=breaker,
                rebalance=RebalanceSettings(revoke_timeout=revoke_timeout),
            ),
            metrics=metrics,
            log=structlog.get_logger(),
            stop=self.stop,
            pause_after=pause_after,
        ).consumer

    def _create(self, properties: dict[str, Any]) -> ScriptedConsumer:
        made = ScriptedConsumer({"enable.partition.eof": True} | properties)
        self.created.append(made)
        return made

    @property
    def kafka(self) -> ScriptedConsumer:
        (made,) = self.created
        return made

    def run(self, script: Script) -> list[EventDict]:
        """Run the consumer until the script ends; return what it logged."""
        self.kafka.script, self.kafka.on_end = script, self.stop.set
        with capture_logs() as logs:
            self.consumer.run()
        return [*logs]

    def commit(self, offset: int, *partitions: int) -> None:
        self.kafka.committed_offsets |= {each: TopicPartition(TOPIC, each, offset) for each in partitions}

    @property
    def committed(self) -> dict[int, int]:
        return self.kafka.committed_by_partition

    def is_committed(self, offsets: dict[int, int]) -> Callable[[], bool]:
        return lambda: self.committed == offsets

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"orders_{name}", labels)


Make = Callable[..., LoopSetup]


def events(logs: list[EventDict]) -> list[str]:
    return [each["event"] for each in logs]

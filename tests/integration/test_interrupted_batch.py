"""After a shutdown interrupts a batch, no later offset may be committed, so that the next member processes it again."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any

import structlog
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient
from prometheus_client import CollectorRegistry

from service.app.consumer.loop_wiring import GroupClients, LoopWiring
from service.config import KafkaSettings, Settings
from service.errors import StorageUnavailable
from service.handler.kafka.client import properties
from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.consumer.batch_builder import BatchBuilder
from service.handler.kafka.consumer.loop import OrderConsumer
from service.handler.kafka.consumer.reports.retry_report import RetryReport
from service.metrics import ConsumerMetrics
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.batch import Batch
from service.usecases.circuit_breaker import CircuitBreaker
from service.usecases.ingest import Ingest, Write
from service.usecases.outcome import Outcome
from tests.kit.decoding import message_decoder
from tests.kit.factories import order_document
from tests.kit.fakes import FakeDeadLetters, FakeStore
from tests.kit.harness import Harness, Sent, orders
from tests.kit.policies import circuit_breaker_policy, retry_backoff
from tests.kit.temporary import PARTITIONS
from tests.kit.waiting import eventually

TIMEOUT_SECONDS = 30.0


class ObservedConsumer(Consumer):
    """A member that sets an event when partitions are being revoked."""

    def __init__(self, revoked: Event, properties: dict[str, Any]) -> None:
        super().__init__(properties)
        self._revoked = revoked

    def subscribe(self, topics: list[str], *, on_revoke: Callable[..., None], **callbacks: Any) -> None:  # type: ignore[override]
        def observed(*arguments: Any) -> None:
            self._revoked.set()
            on_revoke(*arguments)

        super().subscribe(topics, on_revoke=observed, **callbacks)


class Interruption:
    """Middleware of Ingest. A shutdown interrupts the second batch while partitions are being revoked."""

    def __init__(self) -> None:
        self.stop = ShutdownEvent()
        self.store = FakeStore()
        self.first_may_finish, self.revoked = Event(), Event()
        self.sizes: list[int] = []

    def __call__(self, write: Write) -> Write:
        def interrupted(batch: Batch) -> Outcome:
            self.sizes.append(len(batch))
            if len(self.sizes) == 1:
                assert self.first_may_finish.wait(TIMEOUT_SECONDS)
            elif len(self.sizes) == 2:
                assert self.revoked.wait(TIMEOUT_SECONDS)
                self.stop.set()
                self.store.failures.append(StorageUnavailable("unreachable"))
            return write(batch)

        return interrupted


def test_after_an_interrupted_batch_nothing_is_written_or_committed(harness: Harness) -> None:
    batches, decoded = Interruption(), list[datetime]()
    consumer = Thread(target=consumer_of(harness, batches, decoded).run)
    consumer.start()
    harness.produce(*orders([order_document()]))
    eventually(lambda: batches.sizes == [1], TIMEOUT_SECONDS, "the first batch is running")
    harness.produce(*one_per_partition())
    eventually(lambda: len(decoded) == 1 + PARTITIONS, TIMEOUT_SECONDS, "the second batch is decoded")
    batches.first_may_finish.set()
    eventually(lambda: len(batches.sizes) == 2, TIMEOUT_SECONDS, "the second batch is running")
    harness.produce(*one_per_partition())
    eventually(lambda: len(decoded) == 1 + 2 * PARTITIONS, TIMEOUT_SECONDS, "the third batch is decoded")
    with closing(another_member(harness)) as other:
        eventually(lambda: other.poll(0.1) or not consumer.is_alive(), TIMEOUT_SECONDS, "the consumer stops")
        consumer.join(TIMEOUT_SECONDS)
    assert not consumer.is_alive()
    assert (batches.sizes, harness.committed()) == ([1, PARTITIONS], {0: 1})


def one_per_partition() -> list[Sent]:
    return [sent for number in range(PARTITIONS) for sent in orders([order_document()], number)]


def another_member(harness: Harness) -> Consumer:
    member = Consumer(properties.consumer(kafka_of(harness)))
    member.subscribe([harness.topic])
    return member


def kafka_of(harness: Harness) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=harness.bootstrap_servers, topic=harness.topic, group_id=harness.topic)


def consumer_of(harness: Harness, batches: Interruption, decoded: list[datetime]) -> OrderConsumer:
    def now() -> datetime:
        decoded.append(datetime.now(UTC))
        return decoded[-1]

    group, metrics = ConsumerGroup((harness.topic,)), ConsumerMetrics(CollectorRegistry())
    member = properties.consumer(kafka_of(harness))
    decoder = message_decoder(now=now)
    log = structlog.get_logger("test")
    ingest = Ingest(
        store=batches.store,
        dead_letters=FakeDeadLetters(),
        breaker=CircuitBreaker(circuit_breaker_policy()),
        backoff=retry_backoff(),
        stop=batches.stop,
        observer=RetryReport(metrics, log),
        middleware=batches,
    )
    return LoopWiring(
        clients=GroupClients(
            group=group,
            connect=lambda added: ObservedConsumer(batches.revoked, member | added),
            admin=AdminClient(properties.silent_admin(kafka_of(harness))),
        ),
        builder=BatchBuilder(decoder, FakeStore.prepare, metrics),
        ingest=ingest,
        settings=Settings(),
        metrics=metrics,
        log=log,
        stop=batches.stop,
    ).consumer

"""After a shutdown interrupts a batch, no later offset may be committed, so that the next member processes it again."""

from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any

import structlog
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient
from prometheus_client import CollectorRegistry

from service.app.consumer_loop import LoopDependencies, build_consumer
from service.config import KafkaSettings
from service.errors import Stopped
from service.handler.kafka.client import properties
from service.handler.kafka.client.consumer_group import QUIET_PROPERTIES, ConsumerGroup
from service.handler.kafka.consumer.batch_builder import BatchBuilder
from service.handler.kafka.consumer.decode import Decoder
from service.handler.kafka.consumer.loop import OrderConsumer
from service.metrics import Metrics
from service.pkg.shutdown_event import ShutdownEvent
from service.repo.writer.order_store import PostgresOrderStore
from service.usecases.batch import Batch
from service.usecases.ingest import Outcome
from service.usecases.ports import Stored
from tests.kit.factories import order_document
from tests.kit.harness import Harness, Sent, orders
from tests.kit.policies import consumer_settings, decoding_rules
from tests.kit.temporary import PARTITIONS
from tests.kit.waiting import eventually

TIMEOUT_SECONDS = 30.0


@dataclass
class InterruptedIngest:
    """A fake Ingest whose second batch is interrupted by a shutdown while partitions are being revoked."""

    stop: ShutdownEvent
    first_may_finish: Event = field(default_factory=Event)
    revoked: Event = field(default_factory=Event)
    sizes: list[int] = field(default_factory=list)

    @property
    def is_waiting_to_retry(self) -> "InterruptedIngest":
        return self

    def is_set(self) -> bool:
        """Called through `is_waiting_to_retry` when partitions are revoked during a batch."""
        self.revoked.set()
        return False

    def __call__(self, batch: Batch) -> Outcome:
        self.sizes.append(len(batch))
        if len(self.sizes) == 1:
            assert self.first_may_finish.wait(TIMEOUT_SECONDS)
        elif len(self.sizes) == 2:
            assert self.revoked.wait(TIMEOUT_SECONDS)
            self.stop.set()
            raise Stopped
        return Outcome(Stored(new=len(batch)))


def test_after_an_interrupted_batch_nothing_is_written_or_committed(harness: Harness) -> None:
    stop, decoded = ShutdownEvent(), list[datetime]()
    ingest = InterruptedIngest(stop)
    consumer = Thread(target=consumer_of(harness, ingest, stop, decoded).run)
    consumer.start()
    harness.produce(*orders([order_document()]))
    eventually(lambda: ingest.sizes == [1], TIMEOUT_SECONDS, "the first batch is running")
    harness.produce(*one_per_partition())
    eventually(lambda: len(decoded) == 1 + PARTITIONS, TIMEOUT_SECONDS, "the second batch is decoded")
    ingest.first_may_finish.set()
    eventually(lambda: len(ingest.sizes) == 2, TIMEOUT_SECONDS, "the second batch is running")
    harness.produce(*one_per_partition())
    eventually(lambda: len(decoded) == 1 + 2 * PARTITIONS, TIMEOUT_SECONDS, "the third batch is decoded")
    with closing(another_member(harness)) as other:
        eventually(lambda: other.poll(0.1) or not consumer.is_alive(), TIMEOUT_SECONDS, "the consumer stops")
        consumer.join(TIMEOUT_SECONDS)
    assert not consumer.is_alive()
    assert (ingest.sizes, harness.committed()) == ([1, PARTITIONS], {0: 1})


def one_per_partition() -> list[Sent]:
    return [sent for number in range(PARTITIONS) for sent in orders([order_document()], number)]


def another_member(harness: Harness) -> Consumer:
    member = Consumer(properties.consumer(kafka_of(harness)))
    member.subscribe([harness.topic])
    return member


def kafka_of(harness: Harness) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=harness.bootstrap_servers, topic=harness.topic, group_id=harness.topic)


def consumer_of(harness: Harness, ingest: Any, stop: ShutdownEvent, decoded: list[datetime]) -> OrderConsumer:
    def now() -> datetime:
        decoded.append(datetime.now(UTC))
        return decoded[-1]

    group, metrics = ConsumerGroup(properties.consumer(kafka_of(harness)), harness.topic), Metrics(CollectorRegistry())
    decoder = Decoder(decoding_rules(), on_unknown=lambda _: None, on_mismatch=lambda _: None, now=now)
    return build_consumer(
        LoopDependencies(
            group=group,
            connect=Consumer,
            admin=AdminClient(group.properties | QUIET_PROPERTIES),
            builder=BatchBuilder(decoder, PostgresOrderStore.prepare, metrics),
            ingest=ingest,
            settings=consumer_settings(),
            metrics=metrics,
            log=structlog.get_logger("test"),
            stop=stop,
        )
    )

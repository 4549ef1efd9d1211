"""What a stop gives up is done again by the next member: nothing that lies behind it in the topic may be committed."""

from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any

import structlog
from confluent_kafka import Consumer
from prometheus_client import CollectorRegistry

from service.config import Kafka
from service.errors import Stopped
from service.handler.kafka.client import properties
from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.consumer.decode import Decoder
from service.handler.kafka.consumer.loop import OrderConsumer
from service.metrics import Metrics
from service.pkg.shutdown_event import ShutdownEvent
from service.repo.writes import PostgresOrderStore
from service.usecases.batch import Batch
from service.usecases.ingest import Outcome
from service.usecases.ports import Stored
from tests.factories import order_document
from tests.harness import Harness, Sent, orders
from tests.policies import consumer_settings, decoding_rules
from tests.temporary import PARTITIONS
from tests.waiting import eventually

SECONDS = 30.0


@dataclass
class SecondIsGivenUp:
    """Stands for Ingest. A stop comes in the midst of the second batch, while partitions are taken away."""

    stop: ShutdownEvent
    first_may_end: Event = field(default_factory=Event)
    taken_away: Event = field(default_factory=Event)
    sizes: list[int] = field(default_factory=list)

    @property
    def is_waiting_to_retry(self) -> "SecondIsGivenUp":
        return self

    def is_set(self) -> bool:
        """Return what `is_waiting_to_retry` does; called when partitions are revoked whose batch is being written."""
        self.taken_away.set()
        return False

    def __call__(self, batch: Batch) -> Outcome:
        self.sizes.append(len(batch))
        if len(self.sizes) == 1:
            assert self.first_may_end.wait(SECONDS)
        elif len(self.sizes) == 2:
            assert self.taken_away.wait(SECONDS)
            self.stop.set()
            raise Stopped
        return Outcome(Stored(new=len(batch)))


def test_behind_a_batch_that_a_stop_gave_up_nothing_is_written_or_committed(harness: Harness) -> None:
    stop, decoded = ShutdownEvent(), list[datetime]()
    ingest = SecondIsGivenUp(stop)
    reading = Thread(target=consumer_of(harness, ingest, stop, decoded).run)
    reading.start()
    harness.produce(*orders([order_document()]))
    eventually(lambda: ingest.sizes == [1], SECONDS, "the first batch is being written")
    harness.produce(*one_each())
    eventually(lambda: len(decoded) == 1 + PARTITIONS, SECONDS, "the second one waits for its turn")
    ingest.first_may_end.set()
    eventually(lambda: len(ingest.sizes) == 2, SECONDS, "the second one is being written")
    harness.produce(*one_each())
    eventually(lambda: len(decoded) == 1 + 2 * PARTITIONS, SECONDS, "the third one waits for its turn")
    with closing(another_member(harness)) as other:
        eventually(lambda: other.poll(0.1) or not reading.is_alive(), SECONDS, "the consumer ends")
        reading.join(SECONDS)
    assert not reading.is_alive()
    assert (ingest.sizes, harness.committed()) == ([1, PARTITIONS], {0: 1})


def one_each() -> list[Sent]:
    return [sent for number in range(PARTITIONS) for sent in orders([order_document()], number)]


def another_member(harness: Harness) -> Consumer:
    member = Consumer(properties.consumer(kafka_of(harness)))
    member.subscribe([harness.topic])
    return member


def kafka_of(harness: Harness) -> Kafka:
    return Kafka(bootstrap_servers=harness.bootstrap_servers, topic=harness.topic, group_id=harness.topic)


def consumer_of(harness: Harness, ingest: Any, stop: ShutdownEvent, decoded: list[datetime]) -> OrderConsumer:
    def now() -> datetime:
        decoded.append(datetime.now(UTC))
        return decoded[-1]

    return OrderConsumer(
        ConsumerGroup(properties.consumer(kafka_of(harness)), harness.topic),
        decoder=Decoder(decoding_rules(), on_unknown=lambda _: None, on_mismatch=lambda _: None, now=now),
        prepare=PostgresOrderStore.prepare,
        ingest=ingest,
        settings=consumer_settings(),
        metrics=Metrics(CollectorRegistry()),
        log=structlog.get_logger("test"),
        stop=stop,
    )

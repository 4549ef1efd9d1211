"""The contract of a transactional producer, on librdkafka's with a real Kafka, on the fake, and in the simulation."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from service.config import KafkaSettings
from service.handler.kafka.client import properties
from tests.kit.fake_consumer import TOPIC
from tests.kit.fake_producer import FakeKafka, FakeProducer, Produced
from tests.kit.harness import Harness
from tests.kit.waiting import eventually
from tests.simulation.producer import SimulatedProducer
from tests.simulation.standalone import SimulatedKafka

SECONDS = 10.0
MAX_BYTES = 1_000
DEAD_LETTER_TOPIC = f"{TOPIC}.dlq"
LARGE, COUNT = b"x" * 2 * MAX_BYTES, 20


class Transactions(ABC):
    """A Kafka whose topic takes messages of MAX_BYTES, and a producer that is ready to begin a transaction."""

    def __init__(self) -> None:
        self.producer = self.started()

    def started(self) -> Any:
        """Return another producer with the same transactional id."""
        made = self._producer()
        made.init_transactions(SECONDS)
        return made

    def produce(self, value: bytes, reports: list[KafkaError | None] | None = None) -> None:
        def on_delivery(error: KafkaError | None, _: object) -> None:
            if reports is not None:
                reports.append(error)

        self.producer.produce(self.topic, value, b"key", on_delivery=on_delivery)

    def wait_for(self, messages: list[Produced], offsets: dict[int, int]) -> None:
        """Block until exactly these take effect: Kafka ends a transaction after it has answered."""
        eventually(lambda: (self.visible(), self.committed()) == (messages, offsets), SECONDS, f"{messages}, {offsets}")

    def send_offset(self, offset: int) -> None:
        offsets = [TopicPartition(self.group_topic, 0, offset)]
        self.producer.send_offsets_to_transaction(offsets, self.metadata, SECONDS)

    topic: str
    group_topic: str

    @property
    @abstractmethod
    def metadata(self) -> bytes: ...

    @abstractmethod
    def _producer(self) -> Any: ...

    @abstractmethod
    def visible(self) -> list[Produced]:
        """Return keys and values that readers of committed messages see."""

    @abstractmethod
    def committed(self) -> dict[int, int]: ...


class InMemoryTransactions(Transactions):
    topic = group_topic = TOPIC

    def __init__(self) -> None:
        self._kafka = FakeKafka(max_message_bytes=MAX_BYTES)
        super().__init__()

    @property
    def metadata(self) -> bytes:
        return self._kafka.group.consumer_group_metadata()

    def _producer(self) -> FakeProducer:
        return FakeProducer(self._kafka)

    def visible(self) -> list[Produced]:
        return self._kafka.visible

    def committed(self) -> dict[int, int]:
        return self._kafka.group.committed_by_partition


class SimulatedTransactions(Transactions):
    topic, group_topic = DEAD_LETTER_TOPIC, TOPIC

    def __init__(self) -> None:
        self._kafka = SimulatedKafka(TOPIC)
        self._kafka.broker.create_topic(DEAD_LETTER_TOPIC, 1, MAX_BYTES)
        self._consumer = self._kafka.consumer({})
        super().__init__()

    @property
    def metadata(self) -> bytes:
        return self._consumer.consumer_group_metadata()

    def _producer(self) -> SimulatedProducer:
        return self._kafka.producer({"transactional.id": "1"})

    def visible(self) -> list[Produced]:
        (log,) = self._kafka.broker.topics[DEAD_LETTER_TOPIC].logs
        return [(entry.payload.key, entry.payload.value) for entry in log.visible()]

    def committed(self) -> dict[int, int]:
        return {partition: each.offset for (_, partition), each in self._kafka.broker.coordinator.offsets.items()}


class KafkaTransactions(Transactions):
    def __init__(self, harness: Harness, consumer: Consumer, kafka: KafkaSettings) -> None:
        self.topic, self.group_topic = harness.dead_letter_topic, harness.topic
        self._harness = harness
        self._consumer = consumer
        self._kafka = kafka
        harness.configure(self.topic, max_message_bytes=MAX_BYTES)
        super().__init__()

    @property
    def metadata(self) -> bytes:
        metadata: bytes = self._consumer.consumer_group_metadata()
        return metadata

    def _producer(self) -> Producer:
        return Producer(properties.transactional(self._kafka, self._harness.topic))

    def visible(self) -> list[Produced]:
        return [(message.key(), message.value()) for message in self._harness.dead_letters()]

    def committed(self) -> dict[int, int]:
        return self._harness.committed()


@pytest.fixture(params=["fake", "simulated", "kafka"])
def transactions(request: pytest.FixtureRequest) -> Iterator[Transactions]:
    if request.param == "fake":
        yield InMemoryTransactions()
        return
    if request.param == "simulated":
        yield SimulatedTransactions()
        return
    harness: Harness = request.getfixturevalue("harness")
    kafka = KafkaSettings(bootstrap_servers=harness.bootstrap_servers, topic=harness.topic, group_id=harness.topic)
    consumer = Consumer(properties.silent_consumer(kafka))
    yield KafkaTransactions(harness, consumer, kafka)
    consumer.close()


def test_messages_and_offsets_take_effect_with_the_commit(transactions: Transactions) -> None:
    transactions.producer.begin_transaction()
    transactions.produce(b"value")
    assert transactions.producer.flush(SECONDS) == 0
    transactions.send_offset(7)
    assert transactions.visible() == []
    transactions.producer.commit_transaction(SECONDS)
    transactions.wait_for([(b"key", b"value")], {0: 7})


def test_an_aborted_transaction_takes_no_effect_and_the_next_one_does(transactions: Transactions) -> None:
    transactions.producer.begin_transaction()
    transactions.produce(b"aborted")
    transactions.send_offset(7)
    transactions.producer.abort_transaction(SECONDS)
    transactions.producer.begin_transaction()
    transactions.produce(b"value")
    transactions.producer.commit_transaction(SECONDS)
    transactions.wait_for([(b"key", b"value")], {})


def test_the_next_producer_aborts_the_transaction_of_the_previous_one(transactions: Transactions) -> None:
    transactions.producer.begin_transaction()
    transactions.produce(b"abandoned")
    assert transactions.producer.flush(SECONDS) == 0
    transactions.send_offset(7)
    transactions.producer.purge()
    transactions.producer = transactions.started()
    transactions.producer.begin_transaction()
    transactions.produce(b"value")
    transactions.producer.commit_transaction(SECONDS)
    transactions.wait_for([(b"key", b"value")], {})


def test_after_a_rejected_message_the_others_are_dropped_and_the_transaction_must_be_aborted(
    transactions: Transactions,
) -> None:
    reports: list[KafkaError | None] = []
    transactions.producer.begin_transaction()
    for _ in range(COUNT):
        transactions.produce(LARGE, reports)
    assert transactions.producer.flush(SECONDS) == 0
    assert len(reports) == COUNT
    assert {error and error.code() for error in reports} == {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError._PURGE_QUEUE}
    with pytest.raises(KafkaException):
        transactions.producer.commit_transaction(SECONDS)
    transactions.producer.abort_transaction(SECONDS)
    eventually(lambda: is_committed(transactions, b"value"), SECONDS, "a later transaction is committed")
    transactions.wait_for([(b"key", b"value")], {})


def is_committed(transactions: Transactions, value: bytes) -> bool:
    """Try to commit one message. The broker may first miss sequence numbers of the dropped messages."""
    transactions.producer.begin_transaction()
    transactions.produce(value)
    try:
        transactions.producer.commit_transaction(SECONDS)
    except KafkaException:
        transactions.producer.abort_transaction(SECONDS)
        return False
    return True

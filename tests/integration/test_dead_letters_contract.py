"""The contract of DeadLetters, for both producers and the fake that the use cases are tested with."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from service.config import KafkaSettings
from service.entities.dead_letter import DeadLetter, Reason
from service.entities.partition import Partition
from service.entities.record import Record
from service.errors import DeadLettersUnavailable
from service.handler.kafka.client import properties
from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.dead_letters import producer
from service.handler.kafka.dead_letters.encoder import DeadLetterEncoder
from service.handler.kafka.dead_letters.producer import DeadLetterProducer
from service.handler.kafka.dead_letters.transaction_checks import TransactionChecks
from service.handler.kafka.dead_letters.transactional import TransactionalDeadLetters
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.batch import Batch
from service.usecases.ports.ingest import DeadLetters
from tests.kit.fakes import FakeDeadLetters
from tests.kit.harness import Harness
from tests.kit.temporary import PARTITIONS
from tests.kit.waiting import eventually

TIMEOUT_SECONDS = 30.0
KEYS = [b"a", b"b", b"c"]


class Setup(ABC):
    """One implementation and what it has delivered. Its dead-letter topic is unavailable until `make_available`."""

    topic: str
    dead_letters: DeadLetters
    commits: bool

    @abstractmethod
    def make_available(self) -> None: ...

    @abstractmethod
    def delivered(self) -> list[bytes]:
        """Return the keys of the dead letters in the topic, sorted."""

    @abstractmethod
    def committed(self) -> dict[int, int]:
        """Return the offsets that `send_and_commit` committed by partition."""


class InMemorySetup(Setup):
    topic = "orders"

    def __init__(self, *, commits: bool) -> None:
        self.dead_letters = self._fake = FakeDeadLetters(commits=commits)
        self._fake.refusals = 1
        self.commits = commits

    def make_available(self) -> None:
        self._fake.refusals = 0

    def delivered(self) -> list[bytes]:
        return sorted(each.record.key or b"" for each in self._fake.sent)

    def committed(self) -> dict[int, int]:
        return {partition.number: offset for each in self._fake.committed for partition, offset in each.items()}


class KafkaSetup(Setup):
    def __init__(self, harness: Harness, kafka: KafkaSettings, dead_letters: DeadLetters, *, commits: bool) -> None:
        self.topic = kafka.topic
        self.dead_letters = dead_letters
        self.commits = commits
        self._harness = harness
        self._topic = kafka.dead_letter_topic

    def make_available(self) -> None:
        admin = self._harness.admin()
        admin.create_topics([NewTopic(self._topic, PARTITIONS, replication_factor=1)])[self._topic].result()
        eventually(lambda: self._harness.messages(self._topic) == [], TIMEOUT_SECONDS, "the topic")

    def delivered(self) -> list[bytes]:
        return sorted(message.key() or b"" for message in self._harness.messages(self._topic))

    def committed(self) -> dict[int, int]:
        return self._harness.committed()


@pytest.fixture(params=["fake", "fake that commits", "at least once", "exactly once"])
def setup(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Setup]:
    if request.param.startswith("fake"):
        yield InMemorySetup(commits=request.param == "fake that commits")
        return
    harness: Harness = request.getfixturevalue("harness")
    kafka = KafkaSettings(
        bootstrap_servers=harness.bootstrap_servers,
        topic=harness.topic,
        dead_letter_topic=f"{harness.topic}.missing",
        group_id=harness.topic,
    )
    if request.param == "at least once":
        monkeypatch.setattr(producer, "_UNKNOWN_TOPIC_TIMEOUT_MS", 500)
        encoder, connect = DeadLetterEncoder(kafka.group_id), partial(properties.producer, kafka)
        with closing(DeadLetterProducer(connect, kafka.dead_letter_topic, encoder, ShutdownEvent())) as made:
            yield KafkaSetup(harness, kafka, made, commits=False)
        return
    with closing(Consumer(properties.consumer(kafka))) as consumer:
        client = properties.transactional(kafka, f"{kafka.group_id}-1")
        group = _joined(consumer, kafka)
        quiet = properties.silent_consumer(kafka)
        checks = TransactionChecks(AdminClient(quiet), partial(Consumer, quiet))
        encoder = DeadLetterEncoder(kafka.group_id)
        made_exact = TransactionalDeadLetters(lambda: client, kafka.dead_letter_topic, encoder, group, checks)
        with closing(made_exact):
            yield KafkaSetup(harness, kafka, made_exact, commits=True)


def _joined(consumer: Consumer, kafka: KafkaSettings) -> ConsumerGroup:
    consumer.subscribe([kafka.topic])
    eventually(lambda: consumer.poll(0.1) is None and consumer.assignment(), TIMEOUT_SECONDS, "the assignment")
    group = ConsumerGroup((kafka.topic,), is_transactional=True)
    group.refresh(consumer)
    return group


def test_a_batch_without_dead_letters_delivers_none(setup: Setup) -> None:
    setup.make_available()
    assert setup.dead_letters.send_and_commit(_batch(setup), []) is setup.commits
    assert setup.delivered() == []
    assert setup.committed() == ({0: 3} if setup.commits else {})


def test_all_dead_letters_are_acknowledged(setup: Setup) -> None:
    setup.make_available()
    assert setup.dead_letters.send_and_commit(_batch(setup), _dead_letters(setup)) is setup.commits
    assert setup.delivered() == KEYS
    assert setup.committed() == ({0: 3} if setup.commits else {})


def test_unacknowledged_dead_letters_are_returned_and_can_be_sent_again(setup: Setup) -> None:
    with pytest.raises(DeadLettersUnavailable) as failure:
        setup.dead_letters.send_and_commit(_batch(setup), _dead_letters(setup))
    assert setup.committed() == {}
    setup.make_available()
    results: list[bool] = []

    def attempt() -> bool:
        results.append(setup.dead_letters.send_and_commit(_batch(setup), failure.value.unsent))
        return True

    eventually(attempt)  # the client knows a new topic only after its next metadata request
    assert results == [setup.commits]
    assert setup.delivered() == KEYS


def _batch(setup: Setup) -> Batch:
    return Batch(next_offsets={Partition(setup.topic, 0): len(KEYS)})


def _dead_letters(setup: Setup) -> list[DeadLetter]:
    records = [Record(setup.topic, 0, offset, 1_000, key, b"faulty", []) for offset, key in enumerate(KEYS)]
    return [DeadLetter(record, Reason.INVALID, "sm_id: is missing") for record in records]

"""What implements a port of the use cases raises the errors that the port names, never those of the Kafka client."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, NoReturn

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer

from local import broker
from service.config import KafkaSettings
from service.entities.dead_letter import DeadLetter, Reason
from service.entities.dead_letter_headers import Header, Headers
from service.entities.dead_letter_record import DeadLetterRecord
from service.entities.record import Record
from service.entities.subscription import Subscription
from service.errors import DeadLettersUnavailable, KafkaRequestFailed, KafkaUnavailable
from service.handler.kafka.client import properties
from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.client.topic_reader import open_topic
from service.handler.kafka.dead_letters import delivery
from service.handler.kafka.dead_letters.browse import KafkaDeadLetterReader
from service.handler.kafka.dead_letters.encoder import DeadLetterEncoder
from service.handler.kafka.dead_letters.producer import DeadLetterProducer
from service.handler.kafka.dead_letters.replay import KafkaReplaySource, ReplayProducer
from service.handler.kafka.dead_letters.transaction_checks import TransactionChecks
from service.handler.kafka.dead_letters.transactional import TransactionalDeadLetters
from service.handler.kafka.operations.order_records import KafkaOrderRecords
from service.handler.kafka.operations.unreadable_batches import UnreadableRecordBatches
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.batch import Batch
from service.usecases.ports.dead_letters import DeadLetterQuery
from service.usecases.ports.ingest import DeadLetters
from service.usecases.ports.operations import UnreadableRecordBatch
from tests.kit.fake_consumer import FakeAdmin, FakeConsumer, message

TOPIC = "orders"
DEAD_LETTER_TOPIC = "orders.dlq"
TIMEOUT_SECONDS = 10.0
BATCH = UnreadableRecordBatch(0, 0, 1)
SINCE = datetime(2026, 11, 23, tzinfo=UTC)
ORIGIN: Headers = [
    (Header.TOPIC, TOPIC.encode()),
    (Header.PARTITION, b"0"),
    (Header.OFFSET, b"7"),
    (Header.TIMESTAMP, b"1000"),
]
DEAD_LETTER = DeadLetter(Record(TOPIC, 0, 7, 1_000, b"key", b"faulty", []), Reason.INVALID, "sm_id: is missing")
CHECKS = TransactionChecks(FakeAdmin(), FakeConsumer)  # type: ignore[arg-type]


class Client:
    """A client of which one method fails."""

    def __init__(self, client: object, method: str) -> None:
        self._client = client
        self._method = method

    def __getattr__(self, name: str) -> Any:
        return fail if name == self._method else getattr(self._client, name)


class RejectedClient(Client):
    """A client that gets an error of the broker instead of messages."""

    def poll(self, _: float) -> Message:
        return message(0, 0, error=KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))


def fail(*_: object, **__: object) -> NoReturn:
    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaSettings]:
    """Yield the settings of a Kafka with a record in each topic."""
    with broker.mock([TOPIC, DEAD_LETTER_TOPIC]) as server:
        settings = KafkaSettings(bootstrap_servers=server.bootstrap_servers)
        producer = Producer(properties.producer(settings))
        for topic in (TOPIC, DEAD_LETTER_TOPIC):
            producer.produce(topic, b"{}", partition=0)
        assert producer.flush(TIMEOUT_SECONDS) == 0
        yield settings


@pytest.fixture
def consumer(kafka: KafkaSettings) -> Iterator[Consumer]:
    with closing(Consumer(properties.silent_consumer(kafka))) as client:
        yield client


READING = [
    *(pytest.param(Client, method, id=method) for method in ("list_topics", "get_watermark_offsets", "assign", "poll")),
    pytest.param(RejectedClient, "", id="message"),
]


@pytest.mark.parametrize(("kind", "method"), READING)
def test_a_search_for_records_of_orders(consumer: Consumer, kind: type[Client], method: str) -> None:
    records = KafkaOrderRecords(kind(consumer, method), Subscription((TOPIC,)), lambda: False)  # type: ignore[arg-type]
    with pytest.raises(KafkaRequestFailed):
        records.find({"a"})


@pytest.mark.parametrize(("kind", "method"), [*READING, pytest.param(Client, "unassign", id="unassign")])
def test_a_page_of_dead_letters(consumer: Consumer, kind: type[Client], method: str) -> None:
    browser = KafkaDeadLetterReader(lambda: kind(consumer, method), DEAD_LETTER_TOPIC)  # type: ignore[arg-type, return-value]
    with pytest.raises(KafkaRequestFailed) as raised:
        asyncio.run(browser.page(DeadLetterQuery(1)))
    assert isinstance(raised.value, KafkaUnavailable) == (kind is Client)


def test_a_page_of_dead_letters_without_a_client() -> None:
    with pytest.raises(KafkaUnavailable, match=r"^the dead-letter topic is unreachable$"):
        asyncio.run(KafkaDeadLetterReader(fail, DEAD_LETTER_TOPIC).page(DeadLetterQuery(1)))


def test_a_page_of_dead_letters_of_a_missing_topic_says_so(consumer: Consumer) -> None:
    with pytest.raises(KafkaRequestFailed, match=r"^cannot read missing: unknown topic"):
        asyncio.run(KafkaDeadLetterReader(lambda: consumer, "missing").page(DeadLetterQuery(1)))


@pytest.mark.parametrize(
    ("kind", "method", "call"),
    [
        (Client, "committed", lambda source: source.find(0, 0)),
        (Client, "assign", lambda source: source.find(0, 0)),
        (Client, "poll", lambda source: source.find(0, 0)),
        (RejectedClient, "", lambda source: source.find(0, 0)),
        (Client, "assign", lambda source: [*source.lines(BATCH)]),
        (Client, "poll", lambda source: [*source.lines(BATCH)]),
        (RejectedClient, "", lambda source: [*source.lines(BATCH)]),
        (Client, "commit", lambda source: source.commit(BATCH)),
        (Client, "describe_configs", lambda source: source.is_compacted()),
    ],
)
def test_a_batch_that_cannot_be_decompressed(
    consumer: Consumer, kind: type[Client], method: str, call: Callable[[UnreadableRecordBatches], object]
) -> None:
    client: Any = kind(consumer, method)
    source = UnreadableRecordBatches(client, client, client, open_topic(client, TOPIC))
    with pytest.raises(KafkaRequestFailed):
        call(source)


@pytest.mark.parametrize(
    ("kind", "method", "call"),
    [
        (Client, "offsets_for_times", lambda source: source.read_new(SINCE)),
        (Client, "committed", lambda source: source.read_new(None)),
        (Client, "poll", lambda source: next(source.read_new(None))),
        (RejectedClient, "", lambda source: next(source.read_new(None))),
        (Client, "poll", lambda source: source.find(0, 0)),
        (RejectedClient, "", lambda source: source.find(0, 0)),
        (Client, "commit", lambda source: source.commit({0: 1})),
    ],
)
def test_the_source_of_a_replay(
    consumer: Consumer, kind: type[Client], method: str, call: Callable[[KafkaReplaySource], object]
) -> None:
    client: Any = kind(consumer, method)
    source = KafkaReplaySource(open_topic(client, DEAD_LETTER_TOPIC), ShutdownEvent())
    with pytest.raises(KafkaRequestFailed):
        call(source)


def test_the_target_of_a_replay(kafka: KafkaSettings) -> None:
    client: Any = Client(Producer(properties.producer(kafka)), "flush")
    target = ReplayProducer(client, lambda _: [0], ShutdownEvent(), replayed_by="test")
    with pytest.raises(KafkaRequestFailed):
        target.send([DeadLetterRecord(0, 7, 1_000, None, None, ORIGIN)])


@pytest.mark.parametrize(
    "dead_letters",
    [
        DeadLetterProducer(dict, DEAD_LETTER_TOPIC, DeadLetterEncoder("orders"), ShutdownEvent()),
        TransactionalDeadLetters(dict, DEAD_LETTER_TOPIC, DeadLetterEncoder("orders"), ConsumerGroup((TOPIC,)), CHECKS),
    ],
    ids=lambda each: type(each).__name__,
)
def test_dead_letters_whose_producer_cannot_be_created(
    dead_letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "Producer", fail)
    with pytest.raises(DeadLettersUnavailable, match=r"^cannot produce to orders\.dlq: timed out") as raised:
        dead_letters.send_and_commit(Batch(), [DEAD_LETTER])
    assert raised.value.unsent == [DEAD_LETTER]


def test_dead_letters_that_cannot_be_flushed(kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    producer = Producer(properties.producer(kafka) | {"log_level": 0})
    monkeypatch.setattr(delivery, "Producer", lambda *_, **__: Client(producer, "flush"))
    dead_letters = DeadLetterProducer(dict, DEAD_LETTER_TOPIC, DeadLetterEncoder("orders"), ShutdownEvent())
    with pytest.raises(DeadLettersUnavailable, match=r"^cannot produce to orders\.dlq: timed out"):
        dead_letters.send_and_commit(Batch(), [DEAD_LETTER])

"""The contract of DeadLetterReader, on Kafka and on the fake, and behavior that only a real Kafka shows."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Producer

from service.config import KafkaSettings
from service.entities.dead_letter_headers import Header
from service.entities.dead_letter_record import DeadLetterRecord
from service.errors import KafkaRequestFailed, KafkaUnavailable
from service.handler.kafka.client import properties
from service.handler.kafka.dead_letters import browse
from service.handler.kafka.dead_letters.browse import MAX_EXCERPT_BYTES, KafkaDeadLetterReader
from service.handler.kafka.dead_letters.newest import ScanLimits
from service.usecases.ports.dead_letters import (
    ArrivalCounts,
    CountsQuery,
    DeadLetterFilters,
    DeadLetterPage,
    DeadLetterQuery,
    DeadLetterReader,
)
from tests.kit.fake_dead_letter_reader import FakeDeadLetterReader

NOON_MS = 1_764_072_000_000
ALL = DeadLetterFilters()
INVALID = DeadLetterFilters(frozenset({"invalid"}))
REJECTED = DeadLetterFilters(frozenset({"rejected"}))
TIMEOUT_SECONDS = 20.0


class DeadLetterTopic(ABC):
    """A dead-letter topic of three partitions and its reader."""

    reader: DeadLetterReader

    @abstractmethod
    def produce(self, *minutes: int, partition: int = 0, reason: str = "invalid", value: bytes = b"{}") -> None:
        """Produce a dead letter for each minute after noon, with the minute as its key."""

    def page(
        self, limit: int, before: Mapping[int, int] | None = None, filters: DeadLetterFilters = ALL
    ) -> DeadLetterPage:
        return asyncio.run(self.reader.page(DeadLetterQuery(limit, before, filters)))

    def find(self, partition: int, offset: int) -> DeadLetterRecord | None:
        return asyncio.run(self.reader.find(partition, offset))

    def counts(self, since: datetime, bucket_seconds: int) -> ArrivalCounts:
        return asyncio.run(self.reader.counts(CountsQuery(since, bucket_seconds)))

    def all_pages(self, limit: int, filters: DeadLetterFilters = ALL) -> list[list[int]]:
        """Return the minutes of each page."""
        pages, before = list[list[int]](), None
        while not pages or before:
            page = self.page(limit, before, filters)
            pages.append(minutes(page))
            before = page.before
        return pages


class InMemoryTopic(DeadLetterTopic):
    def __init__(self) -> None:
        self.reader = self._fake = FakeDeadLetterReader(MAX_EXCERPT_BYTES)

    def produce(self, *minutes: int, partition: int = 0, reason: str = "invalid", value: bytes = b"{}") -> None:
        for minute in minutes:
            offset, key = self._fake.end(partition), str(minute).encode()
            headers = [(Header.REASON, reason.encode())]
            self._fake.store(DeadLetterRecord(partition, offset, timestamp_of(minute), key, value, [*headers]))

    def disconnect(self) -> None:
        self._fake.is_unreachable = True


class KafkaTopic(DeadLetterTopic):
    def __init__(self, kafka: KafkaSettings) -> None:
        self.topic = kafka.dead_letter_topic
        self.kafka = kafka
        self.reader = KafkaDeadLetterReader(lambda: Consumer(properties.dead_letter_reader(kafka)), self.topic)

    def produce(self, *minutes: int, partition: int = 0, reason: str = "invalid", value: bytes = b"{}") -> None:
        producer = Producer(properties.producer(self.kafka))
        self._produce(producer, minutes, partition, reason, value)
        assert producer.flush(TIMEOUT_SECONDS) == 0

    def produce_in_transaction(self, *minutes: int, is_aborted: bool = False) -> None:
        producer = Producer(properties.transactional(self.kafka, uuid4().hex))
        producer.init_transactions(TIMEOUT_SECONDS)
        producer.begin_transaction()
        self._produce(producer, minutes, 0, "invalid", b"{}")
        producer.flush(TIMEOUT_SECONDS)
        producer.abort_transaction(TIMEOUT_SECONDS) if is_aborted else producer.commit_transaction(TIMEOUT_SECONDS)

    def _produce(self, producer: Producer, minutes: tuple[int, ...], partition: int, reason: str, value: bytes) -> None:
        for minute in minutes:
            producer.produce(
                self.topic,
                value,
                str(minute).encode(),
                partition,
                timestamp=timestamp_of(minute),
                headers=[(Header.REASON, reason.encode())],
            )


def minutes(page: DeadLetterPage) -> list[int]:
    return [int(excerpt.dead_letter.key or b"") for excerpt in page.dead_letters]


def timestamp_of(minute: int) -> int:
    return NOON_MS + minute * 60_000


def time_of(minute: int) -> datetime:
    return datetime.fromtimestamp(timestamp_of(minute) / 1_000, UTC)


@pytest.fixture
def kafka_topic(kafka: KafkaSettings) -> KafkaTopic:
    return KafkaTopic(kafka)


@pytest.fixture(params=["kafka", "fake"])
def dead_letters(request: pytest.FixtureRequest) -> DeadLetterTopic:
    topic: DeadLetterTopic = request.getfixturevalue("kafka_topic") if request.param == "kafka" else InMemoryTopic()
    return topic


@pytest.fixture(params=["kafka", "fake"])
def unreachable(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> DeadLetterTopic:
    if request.param == "kafka":
        monkeypatch.setattr("service.handler.kafka.client.topic_reader.READ_CALL_TIMEOUT_SECONDS", 0.2)
        return KafkaTopic(KafkaSettings(bootstrap_servers="127.0.0.1:9"))
    fake = InMemoryTopic()
    fake.disconnect()
    return fake


def test_an_empty_topic_gives_one_empty_page(dead_letters: DeadLetterTopic) -> None:
    assert dead_letters.page(10) == DeadLetterPage([], None)


def test_pages_merge_all_partitions_newest_first(dead_letters: DeadLetterTopic) -> None:
    dead_letters.produce(1, 4, 7, partition=0)
    dead_letters.produce(2, 3, 9, partition=1)
    dead_letters.produce(5, 6, 8, partition=2)
    assert dead_letters.all_pages(4) == [[9, 8, 7, 6], [5, 4, 3, 2], [1]]
    assert dead_letters.all_pages(50) == [[9, 8, 7, 6, 5, 4, 3, 2, 1]]


def test_pages_are_ordered_if_one_partition_has_all_the_newest(dead_letters: DeadLetterTopic) -> None:
    dead_letters.produce(*range(10, 30), partition=0)
    dead_letters.produce(*range(10), partition=1)
    pages = dead_letters.all_pages(3, INVALID)
    assert [minute for page in pages for minute in page] == [*reversed(range(30))]
    assert all(len(page) <= 3 for page in pages)


def test_a_filter_finds_all_matches(dead_letters: DeadLetterTopic) -> None:
    dead_letters.produce(1, reason="rejected")
    dead_letters.produce(*range(2, 12))
    dead_letters.produce(12, reason="rejected")
    assert [minute for page in dead_letters.all_pages(3, REJECTED) for minute in page] == [12, 1]


def test_a_filter_does_not_change_the_order(dead_letters: DeadLetterTopic) -> None:
    dead_letters.produce(5, partition=0, reason="rejected")
    dead_letters.produce(*range(10, 20), partition=0)
    dead_letters.produce(3, partition=1, reason="rejected")
    assert [minute for page in dead_letters.all_pages(3, REJECTED) for minute in page] == [5, 3]


def test_pages_are_limited_to_a_time(dead_letters: DeadLetterTopic) -> None:
    dead_letters.produce(*range(10), partition=0)
    dead_letters.produce(*range(2, 400, 20), partition=1)
    assert dead_letters.all_pages(50, DeadLetterFilters(since=time_of(382))) == [[382]]
    assert dead_letters.all_pages(3, DeadLetterFilters(since=time_of(7), until=time_of(42))) == [[22, 9, 8], [7]]
    assert dead_letters.all_pages(3, DeadLetterFilters(until=time_of(1))) == [[0]]
    assert dead_letters.all_pages(3, DeadLetterFilters(since=time_of(383))) == [[]]
    assert dead_letters.all_pages(3, DeadLetterFilters(until=time_of(0)))[-1] == []


def test_a_dead_letter_that_arrived_late_is_before_its_time(dead_letters: DeadLetterTopic) -> None:
    dead_letters.produce(0, 100, 1, 300)
    assert dead_letters.all_pages(5, DeadLetterFilters(until=time_of(2))) == [[1, 0]]


def test_pages_can_have_the_dead_letters_of_one_order(dead_letters: DeadLetterTopic) -> None:
    dead_letters.produce(1, 2, value=b'{"order_uid": "a"}')
    dead_letters.produce(3, value=b'{"order_uid": "b"}' + b" " * MAX_EXCERPT_BYTES)
    dead_letters.produce(4, value=b" " * MAX_EXCERPT_BYTES + b'{"order_uid": "a"}')
    assert dead_letters.all_pages(5, DeadLetterFilters(order="a")) == [[4, 2, 1]]
    assert dead_letters.all_pages(5, DeadLetterFilters(order="3")) == [[3]]


def test_one_dead_letter_is_complete(dead_letters: DeadLetterTopic) -> None:
    dead_letters.produce(1, 2, value=b"x" * 900_000)
    found = dead_letters.find(0, 1)
    assert found is not None
    assert (found.partition, found.offset, found.key, found.value) == (0, 1, b"2", b"x" * 900_000)


@pytest.mark.parametrize(("partition", "offset"), [(0, 1), (1, 0), (31, 0), (0, 2**63 - 1)])
def test_there_is_no_dead_letter_at_another_offset(dead_letters: DeadLetterTopic, partition: int, offset: int) -> None:
    dead_letters.produce(1)
    assert dead_letters.find(partition, offset) is None


def test_dead_letters_are_counted_by_reason_and_time(dead_letters: DeadLetterTopic) -> None:
    dead_letters.produce(0, 59, 60, 61, partition=0)
    dead_letters.produce(30, 150, partition=1, reason="rejected")
    dead_letters.produce(151, partition=2, reason="a made-up reason")
    counts = dead_letters.counts(time_of(30), bucket_seconds=1_800)
    assert counts.counted_since_ms == timestamp_of(30)
    assert [*map(dict, counts.buckets[:5])] == [
        {"invalid": 1, "rejected": 1}, {"invalid": 2}, {}, {}, {"rejected": 1, "unknown": 1},
    ]  # fmt: skip
    assert not any(counts.buckets[5:])
    assert timestamp_of(30) + (len(counts.buckets) - 1) * 1_800_000 < counts.until_ms
    assert counts.until_ms <= timestamp_of(30) + len(counts.buckets) * 1_800_000


def test_new_dead_letters_do_not_shift_later_pages(dead_letters: DeadLetterTopic) -> None:
    dead_letters.produce(1, 2, 3)
    first = dead_letters.page(2)
    dead_letters.produce(4, 5)
    assert minutes(first) == [3, 2]
    assert minutes(dead_letters.page(2, first.before)) == [1]


def test_a_cursor_outside_the_topic_is_clamped(dead_letters: DeadLetterTopic) -> None:
    dead_letters.produce(1, 2)
    assert minutes(dead_letters.page(5, {0: 10**17, 31: 5})) == [2, 1]
    assert dead_letters.page(5, {31: 5}) == DeadLetterPage([], None)


def test_only_the_beginning_of_a_large_dead_letter_is_kept(dead_letters: DeadLetterTopic) -> None:
    dead_letters.produce(1, value=b"x" * 900_000)
    (excerpt,) = dead_letters.page(1).dead_letters
    assert (excerpt.dead_letter.value, excerpt.size) == (b"x" * MAX_EXCERPT_BYTES, 900_000)


def test_an_unreachable_broker_raises_kafka_unavailable(unreachable: DeadLetterTopic) -> None:
    for read in (
        lambda: unreachable.page(1),
        lambda: unreachable.find(0, 0),
        lambda: unreachable.counts(time_of(0), 60),
    ):
        with pytest.raises(KafkaUnavailable):
            read()


def test_a_filter_reads_a_bounded_number_per_page(kafka_topic: KafkaTopic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browse, "PAGE_LIMITS", ScanLimits(chunk=3, dead_letters=6))
    kafka_topic.produce(1, reason="rejected")
    kafka_topic.produce(*range(2, 15))
    assert kafka_topic.all_pages(3, REJECTED) == [[], [], [1]]
    monkeypatch.setattr(browse, "PAGE_LIMITS", ScanLimits(chunk=3, seconds=0.0))
    assert kafka_topic.page(3, filters=REJECTED) == DeadLetterPage([], {0: 14})


def test_transaction_markers_and_aborted_records_are_skipped(kafka_topic: KafkaTopic) -> None:
    for number in range(4):
        kafka_topic.produce_in_transaction(number)
        kafka_topic.produce_in_transaction(100 + number, is_aborted=True)
    assert kafka_topic.all_pages(2) == [[3, 2], [1, 0]]
    assert [kafka_topic.find(0, offset) is not None for offset in range(5)] == [True, False, False, False, True]


def test_a_missing_topic_is_an_error(kafka_topic: KafkaTopic) -> None:
    missing = KafkaTopic(kafka_topic.kafka.model_copy(update={"dead_letter_topic": f"orders-{uuid4().hex}"}))
    with pytest.raises(KafkaRequestFailed, match=f"^cannot read {missing.kafka.dead_letter_topic}: unknown topic"):
        missing.page(1)


def test_a_page_that_takes_too_long_is_an_error(kafka_topic: KafkaTopic, monkeypatch: pytest.MonkeyPatch) -> None:
    kafka_topic.produce(1)
    monkeypatch.setattr(browse, "READ_TIMEOUT_SECONDS", 0.0)
    with pytest.raises(KafkaRequestFailed, match="within 0 s"):
        kafka_topic.page(1)
    monkeypatch.undo()
    assert minutes(kafka_topic.page(1)) == [1]


def test_more_dead_letters_than_can_be_counted_are_counted_since_a_later_time(
    kafka_topic: KafkaTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browse, "_FIRST_COUNTED", 2)
    monkeypatch.setattr(browse, "COUNT_LIMITS", ScanLimits(chunk=2, dead_letters=4))
    kafka_topic.produce(0, 1, 2, 3, 3, 4, 5)
    counts = kafka_topic.counts(time_of(0), bucket_seconds=60)
    assert counts.counted_since_ms == timestamp_of(3) + 1
    assert [*map(dict, counts.buckets[:6])] == [{}, {}, {}, {}, {"invalid": 1}, {"invalid": 1}]


def test_clients_that_ask_for_the_same_counts_share_a_scan(kafka_topic: KafkaTopic) -> None:
    kafka_topic.produce(1)
    query = CountsQuery(time_of(0), 3_600)

    async def twice() -> list[ArrivalCounts]:
        first = await asyncio.gather(*(kafka_topic.reader.counts(query) for _ in range(3)))
        kafka_topic.produce(2)
        return [*first, await kafka_topic.reader.counts(query)]

    first, *others = asyncio.run(twice())
    assert sum(first.buckets[0].values()) == 1
    assert all(each is first for each in others)

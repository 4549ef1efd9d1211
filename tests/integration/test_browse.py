"""Pages of dead letters, read from a real Kafka."""

import asyncio
from collections.abc import Mapping
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Producer

from service.config import Kafka
from service.entities.dead_letter import Header
from service.errors import KafkaUnavailable
from service.handler.kafka.client import properties
from service.handler.kafka.dead_letters import browse
from service.handler.kafka.dead_letters.browse import SHOWN_BYTES, Browser
from service.usecases.ports import DeadLetterPage, DeadLetterQuery
from tests import servers

NOON_MS = 1_764_072_000_000
FAR = 20.0


class Desk:
    """A dead-letter topic of three partitions, who writes to it and who looks through it."""

    def __init__(self, kafka: Kafka) -> None:
        self.topic = kafka.dead_letter_topic
        self._kafka = kafka
        self._browser = Browser(lambda: Consumer(properties.dead_letter_browser(kafka)), self.topic)

    def put(self, *minutes: int, partition: int = 0, reason: str = "invalid", value: bytes = b"{}") -> None:
        """Dead-dead letter a message for each minute after noon; its key says which."""
        producer = Producer(properties.producer(self._kafka))
        self._produce(producer, minutes, partition, reason, value)
        assert producer.flush(FAR) == 0

    def put_in_a_transaction(self, *minutes: int, is_aborted: bool = False) -> None:
        producer = Producer(properties.transactional(self._kafka, uuid4().hex))
        producer.init_transactions(FAR)
        producer.begin_transaction()
        self._produce(producer, minutes, 0, "invalid", b"{}")
        producer.flush(FAR)
        producer.abort_transaction(FAR) if is_aborted else producer.commit_transaction(FAR)

    def _produce(self, producer: Producer, minutes: tuple[int, ...], partition: int, reason: str, value: bytes) -> None:
        for minute in minutes:
            producer.produce(
                self.topic,
                value,
                str(minute).encode(),
                partition,
                timestamp=NOON_MS + minute * 60_000,
                headers=[(Header.REASON, reason.encode())],
            )

    def page(self, limit: int, before: Mapping[int, int] | None = None, *reasons: str) -> DeadLetterPage:
        return asyncio.run(self._browser.page(DeadLetterQuery(limit, before, frozenset(reasons))))

    def all_pages(self, limit: int, *reasons: str) -> list[list[int]]:
        """Return the minutes of all pages, until there are no more."""
        pages, before = list[list[int]](), None
        while not pages or before:
            page = self.page(limit, before, *reasons)
            pages.append(minutes(page))
            before = page.before
        return pages


def minutes(page: DeadLetterPage) -> list[int]:
    return [int(excerpt.dead_letter.key or b"") for excerpt in page.dead_letters]


@pytest.fixture
def desk(kafka_server: servers.Kafka, topic: str) -> Desk:
    return Desk(Kafka(bootstrap_servers=kafka_server.bootstrap_servers, topic=topic, dead_letter_topic=f"{topic}.dlq"))


def test_an_empty_topic_is_one_empty_page(desk: Desk) -> None:
    assert desk.page(10) == DeadLetterPage([], None)


def test_the_newest_come_first_whichever_partition_they_are_in(desk: Desk) -> None:
    desk.put(1, 4, 7, partition=0)
    desk.put(2, 3, 9, partition=1)
    desk.put(5, 6, 8, partition=2)
    assert desk.all_pages(4) == [[9, 8, 7, 6], [5, 4, 3, 2], [1]]
    assert desk.all_pages(50) == [[9, 8, 7, 6, 5, 4, 3, 2, 1]]


def test_pages_stay_in_order_where_one_partition_has_all_the_new_ones(desk: Desk) -> None:
    desk.put(*range(10, 30), partition=0)
    desk.put(*range(10), partition=1)
    pages = desk.all_pages(3, "invalid")
    assert [minute for page in pages for minute in page] == [*reversed(range(30))]
    assert all(len(page) <= 3 for page in pages)


def test_a_filter_misses_none_and_looks_at_a_bounded_number_at_a_time(desk: Desk) -> None:
    desk.put(1, reason="rejected")
    desk.put(*range(2, 12))
    desk.put(12, reason="rejected")
    pages = desk.all_pages(3, "rejected")
    assert [minute for page in pages for minute in page] == [12, 1]
    assert [] in pages


def test_a_filter_does_not_change_the_order(desk: Desk) -> None:
    desk.put(5, partition=0, reason="rejected")
    desk.put(*range(10, 20), partition=0)
    desk.put(3, partition=1, reason="rejected")
    assert [minute for page in desk.all_pages(3, "rejected") for minute in page] == [5, 3]


def test_what_comes_meanwhile_moves_no_page(desk: Desk) -> None:
    desk.put(1, 2, 3)
    first = desk.page(2)
    desk.put(4, 5)
    assert minutes(first) == [3, 2]
    assert minutes(desk.page(2, first.before)) == [1]


def test_marks_of_transactions_and_what_was_aborted_are_no_dead_letters(desk: Desk) -> None:
    for number in range(4):
        desk.put_in_a_transaction(number)
        desk.put_in_a_transaction(100 + number, is_aborted=True)
    assert [minute for page in desk.all_pages(2) for minute in page] == [3, 2, 1, 0]


def test_a_place_that_the_topic_does_not_have_is_the_nearest_that_it_has(desk: Desk) -> None:
    desk.put(1, 2)
    assert minutes(desk.page(5, {0: 10**17, 31: 5})) == [2, 1]
    assert desk.page(5, {31: 5}) == DeadLetterPage([], None)


def test_only_the_beginning_of_a_large_dead_letter_is_held(desk: Desk) -> None:
    desk.put(1, value=b"x" * 900_000)
    (excerpt,) = desk.page(1).dead_letters
    assert (excerpt.dead_letter.value, excerpt.size) == (b"x" * SHOWN_BYTES, 900_000)


def test_a_broker_that_does_not_answer_is_said_to_be_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.handler.kafka.client.topic_reader.CALL_TIMEOUT_SECONDS", 0.2)
    away = Desk(Kafka(bootstrap_servers="127.0.0.1:9"))
    with pytest.raises(KafkaUnavailable):
        away.page(1)


def test_a_topic_that_is_missing_is_said_to_be_away(desk: Desk) -> None:
    missing = Desk(desk._kafka.model_copy(update={"dead_letter_topic": f"orders-{uuid4().hex}"}))
    with pytest.raises(KafkaUnavailable):
        missing.page(1)


def test_reading_ends_in_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.put(1)
    monkeypatch.setattr(browse, "PAGE_TIMEOUT_SECONDS", 0.0)
    with pytest.raises(KafkaUnavailable, match="within 0 s"):
        desk.page(1)
    monkeypatch.undo()
    assert minutes(desk.page(1)) == [1]

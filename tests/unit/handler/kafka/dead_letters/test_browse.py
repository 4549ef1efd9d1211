"""The dead-letter topic in librdkafka's mock cluster, and reads that wait for each other.

`tests/integration/test_browse.py` has the contract of a reader.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from threading import Event
from time import time

import pytest
from confluent_kafka import Consumer

from local import broker
from service.config import KafkaSettings
from service.errors import KafkaRequestFailed, KafkaUnavailable
from service.handler.kafka.client import properties
from service.handler.kafka.client.topic_reader import TopicReader
from service.handler.kafka.dead_letters import browse
from service.handler.kafka.dead_letters.browse import MAX_EXCERPT_BYTES, KafkaDeadLetterReader
from service.handler.kafka.dead_letters.newest import ScanLimits
from service.usecases.ports.dead_letters import CountsQuery, DeadLetterFilters, DeadLetterQuery
from tests.kit.dlq import dead_letter, produce

pytestmark = pytest.mark.anyio

TIMEOUT_SECONDS = 20.0


NOW_MS = round(time() * 1_000)
MINUTE_MS = 60_000
SINCE = datetime.fromtimestamp(NOW_MS / 1_000, UTC) - timedelta(minutes=4)


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaSettings]:
    """Yield the settings of a Kafka with a dead letter for each of the last three minutes; the first one is large."""
    with broker.mock(["orders.dlq"]) as server:
        kafka = KafkaSettings(bootstrap_servers=server.bootstrap_servers)
        large = dead_letter(kafka, 1, reason="rejected")._replace(value=b"x" * (MAX_EXCERPT_BYTES + 1))
        for minute, each in enumerate((large, dead_letter(kafka, 2), dead_letter(kafka, 3))):
            produce(kafka, each, timestamp_ms=NOW_MS + (minute - 3) * MINUTE_MS)
        yield kafka


class Connected:
    """A reader and its clients."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.clients: list[Consumer] = []
        self.reader = KafkaDeadLetterReader(self._connect, kafka.dead_letter_topic)
        self._properties = properties.dead_letter_reader(kafka) | {"fetch.wait.max.ms": 1}

    def _connect(self) -> Consumer:
        self.clients.append(Consumer(self._properties))
        return self.clients[-1]


@pytest.fixture
async def topic(kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Connected]:
    monkeypatch.setattr(TopicReader, "offsets_at", lambda topic, _: topic.starts)  # the cluster looks up no times
    connected = Connected(kafka)
    yield connected
    for each in connected.clients:
        each.close()


async def test_a_page_has_excerpts_newest_first_and_the_next_one_continues_before_them(topic: Connected) -> None:
    first = await topic.reader.page(DeadLetterQuery(2))
    assert [each.dead_letter.key for each in first.dead_letters] == [b"key-3", b"key-2"]
    assert first.before is not None
    assert first.before[0] == 1
    ((excerpt, size),) = (await topic.reader.page(DeadLetterQuery(2, first.before))).dead_letters
    assert (excerpt.value, size) == (b"x" * MAX_EXCERPT_BYTES, MAX_EXCERPT_BYTES + 1)


async def test_a_page_has_only_dead_letters_that_match(topic: Connected) -> None:
    page = await topic.reader.page(DeadLetterQuery(2, filters=DeadLetterFilters(frozenset({"rejected"}))))
    assert ([each.dead_letter.key for each in page.dead_letters], page.before) == ([b"key-1"], None)


async def test_a_dead_letter_is_found_whole(topic: Connected) -> None:
    found = await topic.reader.find(0, 0)
    assert found is not None
    assert len(found.value or b"") == MAX_EXCERPT_BYTES + 1
    assert await topic.reader.find(0, 3) is None


async def test_dead_letters_are_counted_by_minute_and_reason(topic: Connected) -> None:
    counts = await topic.reader.counts(CountsQuery(SINCE, 60))
    assert [*map(dict, counts.buckets[:4])] == [{}, {"rejected": 1}, {"invalid": 1}, {"invalid": 1}]
    assert counts.counted_since_ms == NOW_MS - 4 * MINUTE_MS
    assert NOW_MS <= counts.until_ms <= time() * 1_000 + 1


async def test_only_what_arrived_since_then_is_read(topic: Connected, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TopicReader, "offsets_at", lambda topic, _: {**topic.starts, 0: 2})
    counts = await topic.reader.counts(CountsQuery(SINCE, 60))
    assert [*map(dict, counts.buckets[:4])] == [{}, {}, {}, {"invalid": 1}]


@pytest.mark.parametrize(("limit", "oldest"), [(2, 2), (1, 3)])
async def test_all_that_was_counted_arrived_after_what_was_not(
    topic: Connected, monkeypatch: pytest.MonkeyPatch, limit: int, oldest: int
) -> None:
    monkeypatch.setattr(browse, "_FIRST_COUNTED", limit)
    monkeypatch.setattr(browse, "COUNT_LIMITS", ScanLimits(chunk=limit, dead_letters=limit))
    counts = await topic.reader.counts(CountsQuery(SINCE, 60))
    assert counts.counted_since_ms == NOW_MS - (4 - oldest) * MINUTE_MS + 1
    assert [dict(each) for each in counts.buckets if each] == [{"invalid": 1}] * (3 - oldest)


async def test_counts_that_end_before_the_first_dead_letter_cover_no_time(
    topic: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browse, "COUNT_LIMITS", ScanLimits(chunk=1, dead_letters=0))
    counts = await topic.reader.counts(CountsQuery(SINCE, 60))
    assert counts.counted_since_ms == counts.until_ms
    assert not any(counts.buckets)


async def test_pages_and_counts_have_a_client_each_which_stops_fetching(topic: Connected) -> None:
    for _ in range(2):
        await topic.reader.page(DeadLetterQuery(2))
        await topic.reader.counts(CountsQuery(SINCE, 60))
    assert [each.assignment() for each in topic.clients] == [[], []]


async def test_a_read_that_takes_too_long_is_an_error(topic: Connected, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browse, "READ_TIMEOUT_SECONDS", 0.0)
    with pytest.raises(KafkaRequestFailed, match=r"^the dead-letter topic cannot be read within 0 s$"):
        await topic.reader.page(DeadLetterQuery(2))


async def test_a_read_waits_for_others_for_a_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browse, "QUEUE_TIMEOUT_SECONDS", 0.0)
    started, may_end = Event(), Event()

    def connect() -> Consumer:
        started.set()
        may_end.wait(TIMEOUT_SECONDS)
        raise KafkaUnavailable("no broker")

    reader = KafkaDeadLetterReader(connect, "orders.dlq")
    first = asyncio.create_task(reader.find(0, 0))
    assert await asyncio.to_thread(started.wait, TIMEOUT_SECONDS)
    with pytest.raises(KafkaUnavailable, match=r"^other reads of the dead-letter topic are running$"):
        await reader.find(0, 1)
    may_end.set()
    with pytest.raises(KafkaUnavailable, match=r"^the dead-letter topic is unreachable$"):
        await first

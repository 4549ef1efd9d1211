"""The dead-letter topic for the API: pages, single dead letters, and counts."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from time import monotonic, time
from typing import Final, TypeVar

from confluent_kafka import Consumer

from service.entities.dead_letter_record import DeadLetterRecord
from service.errors import KafkaRequestFailed, KafkaUnavailable
from service.handler.kafka.client.topic_reader import TopicReader, open_topic
from service.handler.kafka.client.translate import translated
from service.handler.kafka.dead_letters.newest import NewestFirst, ScanLimits
from service.handler.kafka.dead_letters.reading import record_at
from service.pkg.acquire import acquired_within
from service.pkg.result_cache import ResultCache
from service.pkg.run_with_timeout import run_in_daemon_thread
from service.pkg.timestamps import to_milliseconds
from service.usecases.dead_letter_counts import Arrival, count
from service.usecases.ports.dead_letters import (
    ArrivalCounts,
    CountsQuery,
    DeadLetterFilters,
    DeadLetterPage,
    DeadLetterQuery,
)

T = TypeVar("T")
Read = Callable[[TopicReader, Callable[[], bool]], T]
"""Reads from the topic. The given function returns True when the read has taken too long and must end."""

MAX_EXCERPT_BYTES: Final = 16 * 2**10
"""Bytes of a dead letter's key and of its value that a page keeps and returns."""
PAGE_LIMITS: Final = ScanLimits(chunk=1_000, dead_letters=20_000, seconds=1.0)
COUNT_LIMITS: Final = ScanLimits(chunk=5_000, dead_letters=100_000, seconds=3.0)
_FIRST_COUNTED: Final = 50
"""Dead letters of each partition that are counted before their size is known."""
COUNTS_TTL_SECONDS: Final = 5.0
READ_TIMEOUT_SECONDS: Final = 10.0
QUEUE_TIMEOUT_SECONDS: Final = 10.0
"""How long a read may wait for others to end."""


class KafkaDeadLetterReader:
    """Implements usecases.ports.dead_letters.DeadLetterReader.

    Connects at the first call: `connect` makes a consumer that joins no group and reports partition ends.

    Belongs to one event loop.
    """

    def __init__(self, connect: Callable[[], Consumer], topic: str) -> None:
        self._reading = _Connection(connect, topic)
        self._counting = _Connection(connect, topic)  # its own, because counting may take seconds
        self._counts = ResultCache(self._count, ttl_seconds=COUNTS_TTL_SECONDS)

    async def page(self, query: DeadLetterQuery) -> DeadLetterPage:
        """Return a page. Raises KafkaRequestFailed."""
        return await self._reading.run(partial(_page, query))

    async def find(self, partition: int, offset: int) -> DeadLetterRecord | None:
        """Return the dead letter at this offset, or None if there is none. Raises KafkaRequestFailed."""
        return await self._reading.run(partial(_find, partition, offset))

    async def counts(self, query: CountsQuery) -> ArrivalCounts:
        """Return the counts, which may be COUNTS_TTL_SECONDS old. Raises KafkaRequestFailed."""
        return await self._counts.get(query)

    async def _count(self, query: CountsQuery) -> ArrivalCounts:
        return await self._counting.run(partial(_count, query))


class _Connection:
    """Runs one read at a time: the client has one position in each partition."""

    def __init__(self, connect: Callable[[], Consumer], topic: str) -> None:
        self._connect = connect
        self._topic = topic
        self._consumer: Consumer | None = None
        self._lock = asyncio.Lock()

    async def run(self, read: Read[T]) -> T:
        """Call `read` in a thread. Raises KafkaRequestFailed."""
        timeout = KafkaUnavailable("other reads of the dead-letter topic are running")
        async with acquired_within(QUEUE_TIMEOUT_SECONDS, self._lock, timeout):
            return await run_in_daemon_thread(partial(self._run, read))

    def _run(self, read: Read[T]) -> T:
        try:
            with translated(), self._open() as topic, _time_limit() as is_over:
                return read(topic, is_over)
        except KafkaUnavailable as error:
            raise KafkaUnavailable("the dead-letter topic is unreachable") from error

    @contextmanager
    def _open(self) -> Iterator[TopicReader]:
        if self._consumer is None:
            self._consumer = self._connect()
        topic = open_topic(self._consumer, self._topic)
        try:
            yield topic
        finally:
            self._consumer.unassign()  # otherwise the client keeps fetching


@contextmanager
def _time_limit() -> Iterator[Callable[[], bool]]:
    """Yield whether READ_TIMEOUT_SECONDS have passed. If so, the end of the block raises KafkaRequestFailed."""
    deadline = monotonic() + READ_TIMEOUT_SECONDS

    def is_over() -> bool:
        return monotonic() >= deadline

    yield is_over
    if is_over():
        raise KafkaRequestFailed(f"the dead-letter topic cannot be read within {READ_TIMEOUT_SECONDS:g} s")


def _page(query: DeadLetterQuery, topic: TopicReader, is_over: Callable[[], bool]) -> DeadLetterPage:
    scan = NewestFirst(
        topic,
        query.filters,
        lambda dead_letter: dead_letter.excerpt(MAX_EXCERPT_BYTES),
        PAGE_LIMITS,
        first_chunk=query.limit,
        before=query.before,
        should_stop=is_over,
    )
    return DeadLetterPage(list(islice(scan, query.limit)), scan.before)


def _find(partition: int, offset: int, topic: TopicReader, is_over: Callable[[], bool]) -> DeadLetterRecord | None:
    return record_at(topic, partition, offset, is_over)


def _count(query: CountsQuery, topic: TopicReader, is_over: Callable[[], bool]) -> ArrivalCounts:
    filters = DeadLetterFilters(since=query.since)
    scan = NewestFirst(topic, filters, Arrival.of, COUNT_LIMITS, first_chunk=_FIRST_COUNTED, should_stop=is_over)
    until_ms = round(time() * 1_000)
    arrivals = list(scan)
    counted_since_ms = to_milliseconds(query.since)
    if scan.before is not None:  # the others arrived no later than the last one
        counted_since_ms = arrivals[-1].timestamp_ms + 1 if arrivals else until_ms
    return count(arrivals, query, counted_since_ms=counted_since_ms, until_ms=until_ms)

"""Pages of the dead-letter topic, newest first, for the API."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from time import monotonic
from typing import Final

from confluent_kafka import Consumer

from service.entities.dead_letter_record import DeadLetterRecord, Excerpt
from service.errors import KafkaUnavailable, ReadTimedOut
from service.handler.kafka.client.topic_reader import TopicReader, open_topic
from service.handler.kafka.client.translate import translated
from service.pkg.run_with_timeout import run_in_daemon_thread
from service.usecases.dead_letter_filters import DeadLetterFilters
from service.usecases.ports import DeadLetterPage, DeadLetterQuery

SHOWN_BYTES: Final = 16 * 2**10
"""Bytes of a dead letter's key and of its value that are kept and returned."""
PAGE_TIMEOUT_SECONDS: Final = 10.0


class Browser:
    """Connects at the first page: `connect` makes a consumer that joins no group and reports partition ends.

    A page looks at `limit` dead letters of each partition at most, so it may be short. Belongs to one event loop.
    """

    def __init__(self, connect: Callable[[], Consumer], topic: str) -> None:
        self._connect = connect
        self._topic = topic
        self._consumer: Consumer | None = None
        self._lock = asyncio.Lock()

    async def page(self, query: DeadLetterQuery) -> DeadLetterPage:
        """Return a page. Raises KafkaRequestFailed."""
        async with self._lock:  # the client has one position in each partition
            return await run_in_daemon_thread(partial(self._page, query))

    def _page(self, query: DeadLetterQuery) -> DeadLetterPage:
        try:
            with translated():
                if self._consumer is None:
                    self._consumer = self._connect()
                return _page(self._consumer, open_topic(self._consumer, self._topic), query)
        except KafkaUnavailable as error:
            raise KafkaUnavailable("the dead-letter topic is unreachable") from error


@dataclass(slots=True)
class _OffsetWindow:
    """The dead letters of a partition with offsets from `low` to before `high`, oldest first."""

    first: int
    """The first offset of the partition."""
    low: int
    high: int
    dead_letters: list[Excerpt] = field(default_factory=list)

    def take(self) -> Excerpt:
        """Remove and return the newest; the window then ends before it."""
        newest = self.dead_letters.pop()
        self.high = newest.dead_letter.offset if self.dead_letters else self.low
        return newest


def _page(consumer: Consumer, topic: TopicReader, query: DeadLetterQuery) -> DeadLetterPage:
    windows = _windows(topic, query)
    try:
        _fill(windows, topic)
    finally:
        consumer.unassign()  # otherwise the client keeps fetching
    filters = DeadLetterFilters(query.reasons)
    matching = (excerpt for excerpt in _newest(list(windows.values())) if filters.matches(excerpt.dead_letter))
    dead_letters = list(islice(matching, query.limit))
    before = {partition: window.high for partition, window in windows.items() if window.high > window.first}
    return DeadLetterPage(dead_letters, before or None)


def _windows(topic: TopicReader, query: DeadLetterQuery) -> Mapping[int, _OffsetWindow]:
    """Return the offsets to read: those of the query, within the current limits of the topic."""
    asked = topic.ends if query.before is None else query.before
    highs = {partition: min(asked[partition], end) for partition, end in topic.ends.items() if partition in asked}
    return {
        partition: _OffsetWindow(topic.starts[partition], max(topic.starts[partition], high - query.limit), high)
        for partition, high in highs.items()
    }


def _fill(windows: Mapping[int, _OffsetWindow], topic: TopicReader) -> None:
    """Read the dead letters. Raises ReadTimedOut after PAGE_TIMEOUT_SECONDS."""
    deadline = monotonic() + PAGE_TIMEOUT_SECONDS

    def is_over() -> bool:
        return monotonic() >= deadline

    lows = {partition: window.low for partition, window in windows.items()}
    highs = {partition: window.high for partition, window in windows.items()}
    for dead_letter in map(DeadLetterRecord.of, topic.read(lows, is_over, highs)):
        windows[dead_letter.partition].dead_letters.append(dead_letter.excerpt(SHOWN_BYTES))
    if is_over():
        raise ReadTimedOut(f"the dead-letter topic cannot be read within {PAGE_TIMEOUT_SECONDS:g} s")
    for window in windows.values():
        window.high = window.high if window.dead_letters else window.low


def _newest(windows: list[_OffsetWindow]) -> Iterator[Excerpt]:
    """Yield the dead letters of all windows, newest first.

    Ends when a window is empty whose partition has older dead letters that were not read.
    """
    while filled := [window for window in windows if window.dead_letters]:
        window = max(filled, key=lambda each: each.dead_letters[-1].dead_letter.timestamp_ms)
        yield window.take()
        if not window.dead_letters and window.low > window.first:
            return

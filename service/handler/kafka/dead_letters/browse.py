"""Pages of the dead-letter topic, newest dead letters first, for the API."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from time import monotonic
from typing import Final

from confluent_kafka import Consumer, KafkaException

from service.entities.dead_letter_record import Excerpt
from service.entities.errors import CommandRefused, KafkaUnavailable
from service.handler.kafka.client.topic_reader import TopicReader
from service.handler.kafka.dead_letters.filters import Filters, dead_letter_of
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.ports import DeadLetterPage, DeadLetterQuery

SHOWN_BYTES: Final = 16 * 2**10
"""How much of a dead letter's key and of its value is held and shown."""
PATIENCE_SECONDS: Final = 10.0


class Browser:
    """Connects when it is first asked: `connect` makes a consumer that has joined no group and tells partitions' ends.

    A page looks at `limit` dead letters of each partition at most, so it may be short. For one event loop.
    """

    def __init__(self, connect: Callable[[], Consumer], topic: str) -> None:
        self._connect = connect
        self._topic = topic
        self._consumer: Consumer | None = None
        self._poll_once = asyncio.Lock()

    async def page(self, query: DeadLetterQuery) -> DeadLetterPage:
        """Return a page. Raises KafkaUnavailable."""
        async with self._poll_once:  # the client stands at one place of each partition
            return await asyncio.to_thread(self._page, query)

    def _page(self, query: DeadLetterQuery) -> DeadLetterPage:
        if self._consumer is None:
            self._consumer = self._connect()
        try:
            return _page(self._consumer, TopicReader(self._consumer, self._topic), query)
        except (KafkaException, CommandRefused) as error:
            raise KafkaUnavailable("the dead-letter topic can't be read now") from error


@dataclass(slots=True)
class _Window:
    """Dead letters of a partition, oldest first: all that there are from `low` to before `high`."""

    first: int
    """Of the partition's offsets."""
    low: int
    high: int
    dead_letters: list[Excerpt] = field(default_factory=list)

    def take(self) -> Excerpt:
        """Take out the newest; the window ends before it then."""
        newest = self.dead_letters.pop()
        self.high = newest.dead_letter.offset if self.dead_letters else self.low
        return newest


def _page(consumer: Consumer, topic: TopicReader, query: DeadLetterQuery) -> DeadLetterPage:
    windows = _windows(topic, query)
    try:
        _fill(windows, topic)
    finally:
        consumer.unassign()  # else it goes on fetching
    filters = Filters(query.reasons)
    meant = (excerpt for excerpt in _newest(list(windows.values())) if filters.matches(excerpt.dead_letter))
    dead_letters = list(islice(meant, query.limit))
    before = {partition: window.high for partition, window in windows.items() if window.high > window.first}
    return DeadLetterPage(dead_letters, before or None)


def _windows(topic: TopicReader, query: DeadLetterQuery) -> Mapping[int, _Window]:
    """Return where to look. What a client sent is held against the topic as it is now."""
    asked = topic.ends if query.before is None else query.before
    highs = {partition: min(asked[partition], end) for partition, end in topic.ends.items() if partition in asked}
    return {
        partition: _Window(topic.starts[partition], max(topic.starts[partition], high - query.limit), high)
        for partition, high in highs.items()
    }


def _fill(windows: Mapping[int, _Window], topic: TopicReader) -> None:
    """Read the dead letters. Raises KafkaUnavailable when that takes too long."""
    deadline = _Deadline(PATIENCE_SECONDS)
    lows = {partition: window.low for partition, window in windows.items()}
    highs = {partition: window.high for partition, window in windows.items()}
    for dead_letter in map(dead_letter_of, topic.read(lows, deadline, highs)):
        windows[dead_letter.partition].dead_letters.append(dead_letter.excerpt(SHOWN_BYTES))
    if deadline.is_set():
        raise KafkaUnavailable(f"the dead-letter topic can't be read within {PATIENCE_SECONDS:g} s")
    for window in windows.values():
        window.high = window.high if window.dead_letters else window.low


def _newest(windows: list[_Window]) -> Iterator[Excerpt]:
    """Yield the newest dead letter of all windows, again and again.

    It ends when a window is used up whose partition has older dead letters that were not read.
    """
    while filled := [window for window in windows if window.dead_letters]:
        window = max(filled, key=lambda each: each.dead_letters[-1].dead_letter.timestamp_ms)
        yield window.take()
        if not window.dead_letters and window.low > window.first:
            return


class _Deadline(ShutdownEvent):
    """A stop that is asked for when the time is over."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._at = monotonic() + seconds

    def is_set(self) -> bool:
        return monotonic() >= self._at

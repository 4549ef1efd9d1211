"""Adds summaries to buffered events: each is read once for all streams, and only if a stream includes summaries."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from service.handler.http.events.buffered_event import BufferedEvent

MAX_EVENTS_WITH_SUMMARY: Final = 10_000
"""Summaries of more events are dropped, oldest first. A stream that still needs one makes it be read again."""

ReadSummaries = Callable[[Sequence[str]], Awaitable[Mapping[str, bytes]]]
"""Returns the summaries of the stored ones among these orders."""


class SummaryLoader:
    """Belongs to one event loop. Runs one query at a time.

    `events_after` returns a bounded number of events, or none if they have left the buffer. `on_loaded` is called after
    each query.
    """

    def __init__(
        self,
        read: ReadSummaries,
        events_after: Callable[[int], Sequence[BufferedEvent]],
        on_loaded: Callable[[], None],
    ) -> None:
        self._read = read
        self._events_after = events_after
        self._on_loaded = on_loaded
        self._requested: dict[int, None] = {}
        """In the order of the requests, so that a stream far behind does not hold up the others."""
        self._loaded = deque[BufferedEvent]()
        self._task: asyncio.Task[None] | None = None

    def request(self, number: int) -> None:
        """Read the missing summaries of the events after this number."""
        self._requested[number] = None
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while self._requested:
            number = next(iter(self._requested))
            del self._requested[number]
            await self._load([event for event in self._events_after(number) if event.with_summary is None])
            self._on_loaded()

    async def _load(self, events: Sequence[BufferedEvent]) -> None:
        uids = [*dict.fromkeys(event.order_uid for event in events)]
        summaries = await self._read(uids) if uids else {}
        for event in events:
            event.add_summary(summaries.get(event.order_uid))
        self._loaded.extend(events)
        while len(self._loaded) > MAX_EVENTS_WITH_SUMMARY:
            self._loaded.popleft().with_summary = None

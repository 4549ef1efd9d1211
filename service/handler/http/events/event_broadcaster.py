"""Sends events to all clients of `/events` as Server-Sent Events.

All streams read one ring buffer, each after its own last event, so a slow stream uses no additional memory. A
stream that falls behind the buffer gets a `reset` event; a client that reads nothing for STALL_SECONDS is disconnected.
Streams with summaries continue when the summaries of the next events have been read.
"""

import asyncio
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.handler.http.events.buffered_event import BufferedEvent, order_data, reset_data
from service.handler.http.events.summary_loader import ReadSummaries, SummaryLoader
from service.handler.http.responses.json_response import NO_STORE
from service.handler.http.responses.problem_types import ProblemType
from service.handler.http.responses.problems import Problem
from service.pkg.rate import Rate
from service.usecases.ports.reads import Notification

HEARTBEAT_SECONDS: Final = 15.0
"""The longest silence of a stream."""
STALL_SECONDS: Final = 10.0
"""How long a client may leave one chunk of its stream unread."""
MAX_EVENTS_PER_CHUNK: Final = 500
RATE_WINDOW_SECONDS: Final = 10.0
_HEARTBEAT: Final = b": heartbeat\n\n"
_RECONNECT: Final = b"retry: 2000\n\n"
_EVENT_ID: Final = re.compile(r"([0-9a-f]{8})-([0-9]{1,15})")

ReadEvents = Callable[[int], Sequence[bytes]]
"""Returns the next events after a number, of those that are ready to be sent."""


class EventBroadcaster:
    """Belongs to one event loop. Buffers `buffer_size` events for at most `max_clients` streams.

    `on_drop` is called for each client that is disconnected because it does not read.
    """

    def __init__(
        self,
        read_summaries: ReadSummaries,
        *,
        buffer_size: int,
        max_clients: int,
        on_drop: Callable[[], None] = lambda: None,
    ) -> None:
        self._buffer = [BufferedEvent("", "", "")] * buffer_size
        self._max_clients = max_clients
        self.on_drop = on_drop
        self._process_id = secrets.token_hex(4)
        self._plain_streams: set[EventStream] = set()
        self._summary_streams: set[EventStream] = set()
        self._summaries = SummaryLoader(read_summaries, self._events_after, self._wake_summary_streams)
        self.rate = Rate(RATE_WINDOW_SECONDS)
        """Published events per second. The publisher calls `observe` when it has published all events up to now, and
        `restart` when it may have missed some."""
        self.newest = 0
        """Number of the newest event."""
        self.is_closed = False

    @property
    def clients(self) -> int:
        return len(self._plain_streams) + len(self._summary_streams)

    def publish(self, notification: Notification) -> None:
        """Publish an event for each order, new ones first."""
        last = self.newest
        for kind, uid, data in order_data(notification, _now()):
            self._append(kind, data, uid)
        self.rate.add(self.newest - last)
        _wake(self._plain_streams)
        if self._summary_streams:
            self._summaries.request(last)

    def reset(self, since: datetime | None = None) -> None:
        """Publish that events since this time may be missing (None: at any time)."""
        self._append("reset", reset_data(_now(), since))
        self._wake_all()

    def close(self) -> None:
        """End all streams cleanly, and refuse new ones."""
        self.is_closed = True
        self._summaries.close()
        self._wake_all()

    def disconnect_all(self) -> None:
        """Cut all streams. Clients reconnect, which checks their API keys again."""
        for stream in self._plain_streams | self._summary_streams:
            stream.disconnect()

    def open(self, last_event_id: str | None, *, with_summaries: bool = False) -> "EventStream":
        """Return a stream that begins after that event, or now. Raises Problem (503) at the limit of clients."""
        if self.clients >= self._max_clients or self.is_closed:
            raise Problem(ProblemType.TOO_MANY_EVENT_STREAMS, "too many event streams")
        last_number = self._known_number(last_event_id) if last_event_id else self.newest
        read = self._after_with_summaries if with_summaries else self._after
        if last_number is None:
            stream = EventStream(self, read, self.newest, self.reset_to_newest())
        else:
            stream = EventStream(self, read, last_number)
        (self._summary_streams if with_summaries else self._plain_streams).add(stream)
        return stream

    def remove(self, stream: "EventStream") -> None:
        self._plain_streams.discard(stream)
        self._summary_streams.discard(stream)

    def reset_to_newest(self) -> bytes:
        """Return a `reset` event for one stream, which continues after the newest event and skips those before."""
        return BufferedEvent(self._event_id(self.newest), "reset", reset_data(_now())).plain

    def has_all_after(self, number: int) -> bool:
        return self.newest - len(self._buffer) <= number <= self.newest

    def _after(self, number: int) -> list[bytes]:
        return [event.plain for event in self._events_after(number)]

    def _after_with_summaries(self, number: int) -> list[bytes]:
        """Return the events up to the first one whose summary is missing, and request that if it comes first."""
        events = self._events_after(number)
        encoded = list[bytes]()
        for event in events:
            if event.with_summary is None:
                break
            encoded.append(event.with_summary)
        if events and not encoded:
            self._summaries.request(number)
        return encoded

    def _events_after(self, number: int) -> list[BufferedEvent]:
        """Return up to MAX_EVENTS_PER_CHUNK events after that number, or none if they have left the buffer."""
        if not self.has_all_after(number):
            return []
        last = min(self.newest, number + MAX_EVENTS_PER_CHUNK)
        return [self._buffer[each % len(self._buffer)] for each in range(number + 1, last + 1)]

    def _append(self, kind: str, data: str, order_uid: str = "") -> None:
        self.newest += 1
        event = BufferedEvent(self._event_id(self.newest), kind, data, order_uid)
        self._buffer[self.newest % len(self._buffer)] = event

    def _wake_all(self) -> None:
        _wake(self._plain_streams)
        self._wake_summary_streams()

    def _wake_summary_streams(self) -> None:
        _wake(self._summary_streams)

    def _event_id(self, number: int) -> str:
        return f"{self._process_id}-{number}"

    def _known_number(self, event_id: str) -> int | None:
        """Return the event's number, or None if it is unknown or events after it have left the buffer."""
        match = _EVENT_ID.fullmatch(event_id)
        if not match or match[1] != self._process_id:
            return None
        number = int(match[2])
        return number if self.has_all_after(number) else None


class EventStream(Response):
    """The response to one client. Ends when the client disconnects, stalls, or the broadcaster is closed."""

    media_type = "text/event-stream"
    HEADERS: Final = {**NO_STORE, "x-accel-buffering": "no"}

    def __init__(
        self, broadcaster: EventBroadcaster, read: ReadEvents, last_number: int, first_events: bytes = b""
    ) -> None:
        super().__init__(headers=self.HEADERS)
        del self.headers["content-length"]
        self._broadcaster = broadcaster
        self._read = read
        self._last_number = last_number
        self._first_chunk = _RECONNECT + first_events
        self._has_events = asyncio.Event()
        self._is_disconnected = asyncio.Event()

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        tasks = [
            asyncio.create_task(self._send_all(send)),
            asyncio.create_task(_wait_for_disconnect(receive)),
            asyncio.create_task(self._is_disconnected.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._broadcaster.remove(self)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if not tasks[0].cancelled():
            tasks[0].result()  # re-raises an error of the stream, so that it is logged

    def wake(self) -> None:
        self._has_events.set()

    def disconnect(self) -> None:
        """Cut the connection, even during a write that the client does not read."""
        self._is_disconnected.set()

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        chunk = self._first_chunk
        while await self._send_chunk(send, chunk):
            chunk = await self._next_chunk()
            if not chunk:
                await send({"type": "http.response.body", "body": b""})
                return

    async def _send_chunk(self, send: Send, chunk: bytes) -> bool:
        """Return False if the client did not read the chunk within STALL_SECONDS."""
        try:
            async with asyncio.timeout(STALL_SECONDS):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except TimeoutError:
            self._broadcaster.on_drop()
            return False
        await asyncio.sleep(0)  # let other tasks run, however much there is to send
        return True

    async def _next_chunk(self) -> bytes:
        """Wait for the next events or heartbeat; return no bytes when the broadcaster is closed."""
        broadcaster = self._broadcaster
        while not broadcaster.is_closed:
            self._has_events.clear()
            if not broadcaster.has_all_after(self._last_number):
                self._last_number = broadcaster.newest
                return broadcaster.reset_to_newest()
            if events := self._read(self._last_number):
                self._last_number += len(events)
                return b"".join(events)
            if not await self._wait_for_events():
                return _HEARTBEAT
        return b""

    async def _wait_for_events(self) -> bool:
        """Return whether events came before the next heartbeat is due."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                return await self._has_events.wait()
        return False


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _wake(streams: "Iterable[EventStream]") -> None:
    for stream in streams:
        stream.wake()


def _now() -> datetime:
    return datetime.now(UTC)

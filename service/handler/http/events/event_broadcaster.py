"""Sends events to all clients of `/events` as Server-Sent Events.

All streams read one ring buffer, each after its own last event, so a slow stream uses no additional memory. A
stream that falls behind the buffer gets a `reset` event; a client that reads nothing for STALL_SECONDS is disconnected.
"""

import asyncio
import re
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.handler.http.responses.json_response import NO_STORE
from service.handler.http.responses.problem_types import ProblemType
from service.handler.http.responses.problems import Problem
from service.pkg.rate import Rate
from service.pkg.timestamps import rfc3339

HEARTBEAT_SECONDS: Final = 15.0
"""The longest silence of a stream."""
STALL_SECONDS: Final = 10.0
"""How long a client may leave one chunk of its stream unread."""
MAX_EVENTS_PER_CHUNK: Final = 500
RATE_WINDOW_SECONDS: Final = 10.0
_HEARTBEAT: Final = b": heartbeat\n\n"
_RECONNECT: Final = b"retry: 2000\n\n"
_EVENT_ID: Final = re.compile(r"([0-9a-f]{8})-([0-9]{1,15})")


class EventBroadcaster:
    """Belongs to one event loop. Buffers `buffer_size` events for at most `max_clients` streams.

    `on_drop` is called for each client that is disconnected because it does not read.
    """

    def __init__(self, *, buffer_size: int, max_clients: int, on_drop: Callable[[], None] = lambda: None) -> None:
        self._buffer = [b""] * buffer_size
        self._max_clients = max_clients
        self.on_drop = on_drop
        self._process_id = secrets.token_hex(4)
        self._streams: set[EventStream] = set()
        self.rate = Rate(RATE_WINDOW_SECONDS)
        """Published events per second. The publisher calls `observe` when it has published all events up to now, and
        `restart` when it may have missed some."""
        self.newest = 0
        """Number of the newest event."""
        self.is_closed = False

    @property
    def clients(self) -> int:
        return len(self._streams)

    def publish(self, kind: str, order_uids: Sequence[str]) -> None:
        at = _now()
        for uid in order_uids:
            self._append(kind, f'{{"order_uid":"{uid}","at":"{at}"}}')
        self.rate.add(len(order_uids))
        self._wake_streams()

    def reset(self, since: datetime | None = None) -> None:
        """Publish that events since this time may be missing (None: at any time)."""
        self._append("reset", _reset_data(since))
        self._wake_streams()

    def close(self) -> None:
        """End all streams cleanly, and refuse new ones."""
        self.is_closed = True
        self._wake_streams()

    def disconnect_all(self) -> None:
        """Cut all streams. Clients reconnect, which checks their API keys again."""
        for stream in self._streams:
            stream.disconnect()

    def open(self, last_event_id: str | None) -> "EventStream":
        """Return a stream that begins after that event, or now. Raises Problem (503) at the limit of clients."""
        if len(self._streams) >= self._max_clients or self.is_closed:
            raise Problem(ProblemType.TOO_MANY_EVENT_STREAMS, "too many event streams")
        last_number = self._known_number(last_event_id) if last_event_id else self.newest
        if last_number is None:
            stream = EventStream(self, self.newest, self.reset_to_newest())
        else:
            stream = EventStream(self, last_number)
        self._streams.add(stream)
        return stream

    def remove(self, stream: "EventStream") -> None:
        self._streams.discard(stream)

    def reset_to_newest(self) -> bytes:
        """Return a `reset` event for one stream, which continues after the newest event and skips those before."""
        return self._encode(self.newest, "reset", _reset_data())

    def has_all_after(self, number: int) -> bool:
        return self.newest - len(self._buffer) <= number <= self.newest

    def after(self, number: int) -> list[bytes]:
        """Return up to MAX_EVENTS_PER_CHUNK events after that number; all of them must still be in the buffer."""
        last = min(self.newest, number + MAX_EVENTS_PER_CHUNK)
        return [self._buffer[each % len(self._buffer)] for each in range(number + 1, last + 1)]

    def _append(self, kind: str, data: str) -> None:
        self.newest += 1
        self._buffer[self.newest % len(self._buffer)] = self._encode(self.newest, kind, data)

    def _wake_streams(self) -> None:
        for stream in self._streams:
            stream.wake()

    def _encode(self, number: int, kind: str, data: str) -> bytes:
        return f"id: {self._process_id}-{number}\nevent: {kind}\ndata: {data}\n\n".encode()

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

    def __init__(self, broadcaster: EventBroadcaster, last_number: int, first_events: bytes = b"") -> None:
        super().__init__(headers=self.HEADERS)
        del self.headers["content-length"]
        self._broadcaster = broadcaster
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
            if events := broadcaster.after(self._last_number):
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


def _reset_data(since: datetime | None = None) -> str:
    since_member = f',"since":"{rfc3339(since)}"' if since else ""
    return f'{{"at":"{_now()}"{since_member}}}'


def _now() -> str:
    return rfc3339(datetime.now(UTC))

"""The response to one client of `/events`."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.handler.http.events.event_buffer import EventBuffer
from service.handler.http.responses.json_response import NO_STORE

HEARTBEAT_SECONDS: Final = 15.0
"""The longest silence of a stream."""
STALL_SECONDS: Final = 10.0
"""How long a client may leave one chunk of its stream unread."""
_HEARTBEAT: Final = b": heartbeat\n\n"
_RECONNECT: Final = b"retry: 2000\n\n"

ReadEvents = Callable[[int], Sequence[bytes]]
"""Returns the next events after a number, up to the first one that is not ready to be sent."""


class EventStream(Response):
    """Ends when the client disconnects or stalls, or when the stream is closed.

    `last_number`: the event after which the stream begins; None begins it with a `reset` and the next new event.
    `on_drop` is called when the client is disconnected because it does not read, `on_end` at the end of any stream.
    """

    media_type = "text/event-stream"
    HEADERS: Final = {**NO_STORE, "x-accel-buffering": "no"}

    def __init__(
        self,
        buffer: EventBuffer,
        read: ReadEvents,
        last_number: int | None,
        *,
        on_drop: Callable[[], None],
        on_end: "Callable[[EventStream], None]",
    ) -> None:
        super().__init__(headers=self.HEADERS)
        del self.headers["content-length"]
        self._buffer = buffer
        self._read = read
        self._last_number = buffer.newest if last_number is None else last_number
        self._first_chunk = _RECONNECT + (buffer.reset_to_newest() if last_number is None else b"")
        self._on_drop = on_drop
        self._on_end = on_end
        self._is_closed = False
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
            self._on_end(self)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if not tasks[0].cancelled():
            tasks[0].result()  # re-raises an error of the stream, so that it is logged

    def wake(self) -> None:
        """Send the events that have become ready."""
        self._has_events.set()

    def close(self) -> None:
        """End the response cleanly."""
        self._is_closed = True
        self.wake()

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
            self._on_drop()
            return False
        await asyncio.sleep(0)  # let other tasks run, however much there is to send
        return True

    async def _next_chunk(self) -> bytes:
        """Wait for the next events or heartbeat; return no bytes when the stream is closed."""
        while not self._is_closed:
            self._has_events.clear()
            if not self._buffer.has_all_after(self._last_number):
                self._last_number = self._buffer.newest
                return self._buffer.reset_to_newest()
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

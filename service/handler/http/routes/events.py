"""`/events`: orders as they are stored, as Server-Sent Events.

All streams read one ring of events, each at its own position: a slow reader costs nothing but its place. One that falls
behind the ring is sent a `reset`; one that takes nothing for some time is dropped.
"""

import asyncio
import re
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.handler.http.openapi import Responses, answer, refusals
from service.handler.http.problems import Problem
from service.pkg.rate import Rate
from service.pkg.timestamps import rfc3339

HEARTBEAT_SECONDS: Final = 15.0
"""How long a stream is silent at most."""
STALL_SECONDS: Final = 10.0
"""How long a client may leave a piece of its stream unread."""
_EVENTS_OF_A_WRITE: Final = 500
"""At most so many are sent to a stream in one piece."""
_HEARTBEAT: Final = b": heartbeat\n\n"
_RECONNECT: Final = b"retry: 2000\n\n"
_RATE_SECONDS: Final = 10.0
"""Over which `rate` is the mean."""
_EVENT_ID: Final = re.compile(r"([0-9a-f]{8})-([0-9]{1,15})")


class EventBroadcaster:
    """For one event loop. Keeps `ring` events; `clients` streams at once; `on_drop` is called for each dropped one."""

    def __init__(self, ring: int, clients: int, on_drop: Callable[[], None] = lambda: None) -> None:
        self._ring = [b""] * ring
        self._clients = clients
        self.on_drop = on_drop
        self._process = secrets.token_hex(4)
        self._streams: set[EventStream] = set()
        self.rate = Rate(_RATE_SECONDS)
        """Of what was published; whoever publishes says when all was (`observe`) and when not (`restart`)."""
        self.newest = 0
        self.is_closed = False

    @property
    def clients(self) -> int:
        return len(self._streams)

    def publish(self, kind: str, uids: Sequence[str]) -> None:
        at = _now()
        for uid in uids:
            self._append(kind, f'{{"order_uid":"{uid}","at":"{at}"}}')
        self.rate.add(len(uids))
        self._wake()

    def reset(self, since: datetime | None = None) -> None:
        """Tell all streams that events may be missing here; `since` is the last time before which none is."""
        self._append("reset", _reset(since))
        self._wake()

    def close(self) -> None:
        """End all streams."""
        self.is_closed = True
        for stream in self._streams:
            stream.wake()

    def drop_all(self) -> None:
        """End all streams without a word; their clients come back, with a key that still counts if they have one."""
        for stream in self._streams:
            stream.drop()

    def open(self, last_event_id: str | None) -> "EventStream":
        """Return a stream that begins after that event, or now. Raises Problem when there are too many."""
        if len(self._streams) >= self._clients or self.is_closed:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "there are enough event streams")
        position = self._position(last_event_id) if last_event_id else self.newest
        stream = EventStream(self, self.newest if position is None else position)
        if position is None:
            stream.greeting += self.skipped
        self._streams.add(stream)
        return stream

    def leave(self, stream: "EventStream") -> None:
        self._streams.discard(stream)

    @property
    def skipped(self) -> bytes:
        """What a stream is sent that goes on at the newest event without those before it."""
        return self._frame(self.newest, "reset", _reset())

    def has_all_after(self, position: int) -> bool:
        return self.newest - len(self._ring) <= position <= self.newest

    def after(self, position: int) -> list[bytes]:
        """Return some of the events after the position; all of them must still be in the ring."""
        last = min(self.newest, position + _EVENTS_OF_A_WRITE)
        return [self._ring[number % len(self._ring)] for number in range(position + 1, last + 1)]

    def _append(self, kind: str, data: str) -> None:
        self.newest += 1
        self._ring[self.newest % len(self._ring)] = self._frame(self.newest, kind, data)

    def _wake(self) -> None:
        for stream in self._streams:
            stream.wake()

    def _frame(self, number: int, kind: str, data: str) -> bytes:
        return f"id: {self._process}-{number}\nevent: {kind}\ndata: {data}\n\n".encode()

    def _position(self, event_id: str) -> int | None:
        """Return the event's number where all after it are in the ring."""
        match = _EVENT_ID.fullmatch(event_id)
        if not match or match[1] != self._process:
            return None
        number = int(match[2])
        return number if self.has_all_after(number) else None


class EventStream(Response):
    """One client's response; it ends when the client goes, when the feed is closed, or when it is dropped."""

    media_type = "text/event-stream"

    def __init__(self, feed: EventBroadcaster, position: int) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._feed = feed
        self._position = position
        self._news = asyncio.Event()
        self._dropped = asyncio.Event()
        self.greeting = _RECONNECT

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        tasks = [
            asyncio.create_task(self._write(send)),
            asyncio.create_task(_gone(receive)),
            asyncio.create_task(self._dropped.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._feed.leave(self)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if not tasks[0].cancelled():
            tasks[0].result()  # raises what ended the stream, for whoever logs it

    def wake(self) -> None:
        self._news.set()

    def drop(self) -> None:
        """End without a word, even in the middle of a write that the client doesn't take."""
        self._dropped.set()

    async def _write(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        piece = self.greeting
        while await self._is_taken(send, piece):
            piece = await self._next()
            if not piece:
                await send({"type": "http.response.body", "body": b""})
                return

    async def _is_taken(self, send: Send, piece: bytes) -> bool:
        """Send, and return whether the client reads; else the stream is dropped."""
        try:
            async with asyncio.timeout(STALL_SECONDS):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except TimeoutError:
            self._feed.on_drop()
            return False
        await asyncio.sleep(0)  # others have their turn, however much there is to send
        return True

    async def _next(self) -> bytes:
        """Return what is to be sent next, as soon as there is something; nothing at the end."""
        feed = self._feed
        while not feed.is_closed:
            self._news.clear()
            if not feed.has_all_after(self._position):
                self._position = feed.newest
                return feed.skipped
            if events := feed.after(self._position):
                self._position += len(events)
                return b"".join(events)
            if not await self._has_news():
                return _HEARTBEAT
        return b""

    async def _has_news(self) -> bool:
        """Wait for an event, and return whether one came before a heartbeat is due."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                return await self._news.wait()
        return False


def _reset(since: datetime | None = None) -> str:
    after = f',"since":"{rfc3339(since)}"' if since else ""
    return f'{{"at":"{_now()}"{after}}}'


def _now() -> str:
    return rfc3339(datetime.now(UTC))


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


EVENT: Final = {
    "type": "object",
    "required": ["id", "event", "data"],
    "properties": {
        "id": {"type": "string", "description": "For `Last-Event-ID`."},
        "event": {"enum": ["stored", "replaced", "reset"]},
        "data": {
            "type": "string",
            "description": "JSON: `at`, the time of this process, and the `order_uid`. Of a reset: `at`, and where it "
            "is known `since`; events between the two may be missing.",
        },
    },
}
DESCRIPTION: Final = (
    "A stream that ends when the client goes. `Last-Event-ID`, which a browser sends by itself, continues after that "
    "event; one that is no longer known gets a `reset`."
)
EVENTS: Final[Responses] = {
    **answer(
        "`stored` and `replaced` with the order's id as they happen; `reset` where events may be missing.",
        EVENT,
        EventStream.media_type,
    ),
    **refusals(),
}


def router(feed: EventBroadcaster) -> APIRouter:
    routes = APIRouter(tags=["orders"])

    @routes.get(
        "/events",
        responses=EVENTS,
        response_class=Response,
        summary="Orders as they are stored",
        description=DESCRIPTION,
    )
    async def follow_events(request: Request) -> Response:
        return feed.open(request.headers.get("last-event-id"))

    return routes

"""An EventBroadcaster with a fake of its queries, and clients of its streams."""

import asyncio
import re
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from service.handler.http.events.event_broadcaster import EventBroadcaster
from service.handler.http.events.event_stream import EventStream
from service.usecases.ports.reads import Notification
from tests.kit.waiting import until_idle

Message = MutableMapping[str, Any]
TIMES = r',?"at":"[-0-9]{10}T[:0-9]{8}\.[0-9]{3}Z"(,"stored_at":null,"version":null)?'


class SummaryTable:
    """Summaries in memory. A query ends when `gate` is set."""

    def __init__(self) -> None:
        self.by_uid: dict[str, bytes] = {}
        self.queries: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self, uids: Sequence[str]) -> Mapping[str, bytes]:
        self.queries.append([*uids])
        await self.gate.wait()
        return {uid: self.by_uid[uid] for uid in uids if uid in self.by_uid}


def new_broadcaster(summaries: SummaryTable | None = None, **options: Any) -> EventBroadcaster:
    return EventBroadcaster((summaries or SummaryTable()).read, **{"buffer_size": 10, "max_clients": 10, **options})


def stored(*uids: str) -> Notification:
    return Notification(new=[*uids])


class Client:
    """The other end of a stream. Clear `may_read` to stall, set `disconnected` to disconnect."""

    def __init__(self, stream: EventStream) -> None:
        self.text = ""
        self.is_ended = False
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.disconnected = asyncio.Event()
        self.response = asyncio.create_task(stream({"type": "http"}, self._receive, self._send))

    async def _receive(self) -> Message:
        await self.disconnected.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self.may_read.wait()
        self.text += message.get("body", b"").decode()
        self.is_ended = message["type"] == "http.response.body" and not message.get("more_body", False)

    @property
    def events(self) -> list[dict[str, str]]:
        blocks = [block for block in self.text.split("\n\n") if "event:" in block]
        return [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]

    @property
    def contents(self) -> list[str]:
        """Kind and data of each event, without `at`, and without a time and version that are null."""
        return [f"{event['event']} {re.sub(TIMES, '', event['data'])}" for event in self.events]

    async def read(self) -> None:
        await until_idle()


async def connect(
    broadcaster: EventBroadcaster, last_event_id: str | None = None, *, with_summaries: bool = False
) -> Client:
    client = Client(broadcaster.open(last_event_id, with_summaries=with_summaries))
    await client.read()
    return client

import asyncio
import json
import re
from collections.abc import MutableMapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from service.handler.http.events import event_broadcaster
from service.handler.http.events.event_broadcaster import EventBroadcaster, EventStream
from service.handler.http.responses.problems import Problem
from tests.kit.waiting import until, until_idle

pytestmark = pytest.mark.anyio

Message = MutableMapping[str, Any]
AT = r',?"at":"[-0-9]{10}T[:0-9]{8}\.[0-9]{3}Z"'


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
    def summaries(self) -> list[str]:
        """Kind and data of each event, without `at`."""
        return [f"{event['event']} {re.sub(AT, '', event['data'])}" for event in self.events]

    async def read(self) -> None:
        await until_idle()


async def connect(broadcaster: EventBroadcaster, last_event_id: str | None = None) -> Client:
    client = Client(broadcaster.open(last_event_id))
    await client.read()
    return client


async def test_a_client_gets_events_from_now_on() -> None:
    broadcaster = EventBroadcaster(buffer_size=10, max_clients=10)
    broadcaster.publish("stored", ["before"])
    client = await connect(broadcaster)
    broadcaster.publish("stored", ["a", "b"])
    broadcaster.publish("replaced", ["a"])
    await client.read()
    assert client.summaries == [
        'stored {"order_uid":"a"}',
        'stored {"order_uid":"b"}',
        'replaced {"order_uid":"a"}',
    ]
    numbers = [int(event["id"].rpartition("-")[2]) for event in client.events]
    assert numbers == [2, 3, 4]


async def test_a_reconnecting_client_continues_after_its_last_event() -> None:
    broadcaster = EventBroadcaster(buffer_size=10, max_clients=10)
    first = await connect(broadcaster)
    broadcaster.publish("stored", ["a", "b", "c"])
    await first.read()
    second = await connect(broadcaster, first.events[0]["id"])
    assert second.summaries == ['stored {"order_uid":"b"}', 'stored {"order_uid":"c"}']


async def test_replayed_events_keep_their_times() -> None:
    broadcaster = EventBroadcaster(buffer_size=10, max_clients=10)
    first = await connect(broadcaster)
    broadcaster.publish("stored", ["a", "b"])
    broadcaster.reset()
    await first.read()
    then = [datetime.fromisoformat(json.loads(event["data"])["at"]) for event in first.events]
    assert len(then) == 3
    assert all(timedelta(0) <= datetime.now(UTC) - at < timedelta(seconds=60) for at in then)
    second = await connect(broadcaster, first.events[0]["id"])
    assert second.events == first.events[1:]


@pytest.mark.parametrize("last", ["nonsense", "00000000-1", "{process}-99", "{process}-0", "{process}--1", "٣"])
async def test_an_unknown_event_id_gets_a_reset_and_then_new_events(last: str) -> None:
    broadcaster = EventBroadcaster(buffer_size=2, max_clients=10)
    broadcaster.publish("stored", ["a", "b", "c"])
    client = await connect(broadcaster, last.format(process=broadcaster._process_id))
    assert client.summaries == ["reset {}"]
    broadcaster.publish("stored", ["d"])
    await client.read()
    assert client.summaries == ["reset {}", 'stored {"order_uid":"d"}']
    again = await connect(broadcaster, client.events[0]["id"])
    assert again.summaries == ['stored {"order_uid":"d"}']


async def test_a_reset_reaches_all_clients() -> None:
    broadcaster = EventBroadcaster(buffer_size=10, max_clients=10)
    client = await connect(broadcaster)
    broadcaster.reset()
    await client.read()
    assert client.summaries == ["reset {}"]


async def test_a_client_that_stalls_is_disconnected_during_a_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_broadcaster, "STALL_SECONDS", 0.2)
    dropped: list[bool] = []
    broadcaster = EventBroadcaster(buffer_size=100, max_clients=10, on_drop=lambda: dropped.append(True))
    slow, quick = await connect(broadcaster), await connect(broadcaster)
    slow.may_read.clear()
    for number in range(6):
        broadcaster.publish("stored", [str(number)])
        await quick.read()
    assert not slow.response.done()
    await asyncio.wait_for(slow.response, 5)
    assert dropped == [True]
    assert broadcaster.clients == 1
    assert not slow.is_ended  # no final chunk was sent
    assert len(quick.summaries) == 6


@pytest.mark.parametrize("count", [4_000, 50_000])
async def test_a_reading_client_gets_all_events_however_many_are_published_at_once(count: int) -> None:
    broadcaster = EventBroadcaster(buffer_size=count, max_clients=10)
    clients = [await connect(broadcaster) for _ in range(2)]
    broadcaster.publish("stored", [*map(str, range(count))])
    for client in clients:
        await until(partial(has, client, count))
        assert client.summaries == [f'stored {{"order_uid":"{number}"}}' for number in range(count)]
        assert not client.response.done()


def has(client: Client, count: int) -> bool:
    return client.text.count("event: ") >= count


async def test_a_client_that_pauses_gets_all_events() -> None:
    broadcaster = EventBroadcaster(buffer_size=10_000, max_clients=10)
    client = await connect(broadcaster)
    for _ in range(4):
        client.may_read.clear()
        broadcaster.publish("stored", [*map(str, range(2_500))])
        await client.read()
        client.may_read.set()
    await until(partial(has, client, 10_000))
    assert not client.response.done()


async def test_a_client_that_replays_many_events_is_not_disconnected() -> None:
    broadcaster = EventBroadcaster(buffer_size=2_000, max_clients=10)
    first = await connect(broadcaster)
    for number in range(1_500):
        broadcaster.publish("stored", [str(number)])
        await until_idle()
    await first.read()
    second = Client(broadcaster.open(first.events[0]["id"]))
    broadcaster.publish("stored", ["newest"])
    await second.read()
    assert len(second.summaries) == 1_500


async def test_a_client_that_falls_behind_the_buffer_gets_a_reset_and_continues_at_the_newest() -> None:
    broadcaster = EventBroadcaster(buffer_size=3, max_clients=10)
    slow = await connect(broadcaster)
    slow.may_read.clear()
    broadcaster.publish("stored", ["a"])
    await slow.read()
    broadcaster.publish("stored", ["b", "c", "d", "e", "f"])
    slow.may_read.set()
    await slow.read()
    broadcaster.publish("stored", ["g"])
    await slow.read()
    assert slow.summaries == ['stored {"order_uid":"a"}', "reset {}", 'stored {"order_uid":"g"}']
    assert slow.events[1]["id"].endswith("-6")
    assert broadcaster.clients == 1


async def test_a_disconnected_client_no_longer_counts() -> None:
    broadcaster = EventBroadcaster(buffer_size=10, max_clients=1)
    client = await connect(broadcaster)
    with pytest.raises(Problem) as refused:
        broadcaster.open(None)
    assert refused.value.status_code == 503
    client.disconnected.set()
    await asyncio.wait_for(client.response, 5)
    await connect(broadcaster)


async def test_errors_of_a_stream_are_raised() -> None:
    broadcaster = EventBroadcaster(buffer_size=10, max_clients=10)

    async def fail(_: Message) -> None:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - it has no text
        await broadcaster.open(None)({"type": "http"}, asyncio.Event().wait, fail)  # type: ignore[arg-type]
    assert broadcaster.clients == 0


async def test_closing_ends_all_streams_and_refuses_new_ones() -> None:
    broadcaster = EventBroadcaster(buffer_size=10, max_clients=10)
    client = await connect(broadcaster)
    broadcaster.close()
    await asyncio.wait_for(client.response, 5)
    assert client.is_ended
    with pytest.raises(Problem):
        broadcaster.open(None)


async def test_a_quiet_stream_carries_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_broadcaster, "HEARTBEAT_SECONDS", 0.0)
    client = Client(EventBroadcaster(buffer_size=10, max_clients=10).open(None))
    await until(lambda: ": heartbeat\n\n" in client.text)
    client.disconnected.set()
    await asyncio.wait_for(client.response, 5)

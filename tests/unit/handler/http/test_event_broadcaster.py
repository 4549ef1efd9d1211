import asyncio
import json
import re
from collections.abc import MutableMapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from service.handler.http import event_broadcaster
from service.handler.http.event_broadcaster import EventBroadcaster, EventStream
from service.handler.http.problems import Problem
from tests.waiting import turns, until

Message = MutableMapping[str, Any]
AT = r',?"at":"[-0-9]{10}T[:0-9]{8}\.[0-9]{3}Z"'


class Client:
    """The other end of a stream: takes what is sent, unless it `stalls`, until it goes."""

    def __init__(self, stream: EventStream) -> None:
        self.text = ""
        self.is_ended = False
        self.may_take = asyncio.Event()
        self.may_take.set()
        self.gone = asyncio.Event()
        self.response = asyncio.create_task(stream({"type": "http"}, self._receive, self._send))

    async def _receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self.may_take.wait()
        self.text += message.get("body", b"").decode()
        self.is_ended = message["type"] == "http.response.body" and not message.get("more_body", False)

    @property
    def events(self) -> list[dict[str, str]]:
        blocks = [block for block in self.text.split("\n\n") if "event:" in block]
        return [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]

    @property
    def told(self) -> list[str]:
        """Kind and data of each event, without its time."""
        return [f"{event['event']} {re.sub(AT, '', event['data'])}" for event in self.events]

    async def read(self) -> None:
        await turns(20)


async def connected(feed: EventBroadcaster, last_event_id: str | None = None) -> Client:
    client = Client(feed.open(last_event_id))
    await client.read()
    return client


def test_a_client_sees_what_is_stored_from_now_on() -> None:
    async def play() -> None:
        feed = EventBroadcaster(buffer_size=10, max_clients=10)
        feed.publish("stored", ["before"])
        client = await connected(feed)
        feed.publish("stored", ["a", "b"])
        feed.publish("replaced", ["a"])
        await client.read()
        assert client.told == ['stored {"order_uid":"a"}', 'stored {"order_uid":"b"}', 'replaced {"order_uid":"a"}']
        numbers = [int(event["id"].rpartition("-")[2]) for event in client.events]
        assert numbers == [2, 3, 4]

    asyncio.run(play())


def test_a_client_that_comes_back_continues_after_its_last_event() -> None:
    async def play() -> None:
        feed = EventBroadcaster(buffer_size=10, max_clients=10)
        first = await connected(feed)
        feed.publish("stored", ["a", "b", "c"])
        await first.read()
        second = await connected(feed, first.events[0]["id"])
        assert second.told == ['stored {"order_uid":"b"}', 'stored {"order_uid":"c"}']

    asyncio.run(play())


def test_events_tell_when_they_happened_also_to_a_client_that_comes_later() -> None:
    async def play() -> None:
        feed = EventBroadcaster(buffer_size=10, max_clients=10)
        first = await connected(feed)
        feed.publish("stored", ["a", "b"])
        feed.reset()
        await first.read()
        then = [datetime.fromisoformat(json.loads(event["data"])["at"]) for event in first.events]
        assert len(then) == 3
        assert all(timedelta(0) <= datetime.now(UTC) - at < timedelta(seconds=60) for at in then)
        second = await connected(feed, first.events[0]["id"])
        assert second.events == first.events[1:]

    asyncio.run(play())


@pytest.mark.parametrize("last", ["nonsense", "00000000-1", "{process}-99", "{process}-0", "{process}--1", "٣"])
def test_an_unknown_event_id_gets_a_reset_and_then_what_is_new(last: str) -> None:
    async def play() -> None:
        feed = EventBroadcaster(buffer_size=2, max_clients=10)
        feed.publish("stored", ["a", "b", "c"])
        client = await connected(feed, last.format(process=feed._process_id))
        assert client.told == ["reset {}"]
        feed.publish("stored", ["d"])
        await client.read()
        assert client.told == ["reset {}", 'stored {"order_uid":"d"}']
        again = await connected(feed, client.events[0]["id"])
        assert again.told == ['stored {"order_uid":"d"}']

    asyncio.run(play())


def test_all_are_told_when_events_may_be_missing() -> None:
    async def play() -> None:
        feed = EventBroadcaster(buffer_size=10, max_clients=10)
        client = await connected(feed)
        feed.reset()
        await client.read()
        assert client.told == ["reset {}"]

    asyncio.run(play())


def test_a_reader_that_takes_nothing_for_some_time_is_dropped_in_the_middle_of_a_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def play() -> None:
        monkeypatch.setattr(event_broadcaster, "STALL_SECONDS", 0.2)
        dropped: list[bool] = []
        feed = EventBroadcaster(buffer_size=100, max_clients=10, on_drop=lambda: dropped.append(True))
        slow, quick = await connected(feed), await connected(feed)
        slow.may_take.clear()
        for number in range(6):
            feed.publish("stored", [str(number)])
            await quick.read()
        assert not slow.response.done()
        await asyncio.wait_for(slow.response, 5)
        assert dropped == [True]
        assert feed.clients == 1
        assert not slow.is_ended  # no end was written: the connection is cut
        assert len(quick.told) == 6

    asyncio.run(play())


@pytest.mark.parametrize("count", [4_000, 50_000])
def test_however_many_events_come_at_once_a_client_that_reads_gets_them_all(count: int) -> None:
    async def play() -> None:
        feed = EventBroadcaster(buffer_size=count, max_clients=10)
        clients = [await connected(feed) for _ in range(2)]
        feed.publish("stored", [*map(str, range(count))])
        for client in clients:
            await until(partial(has, client, count))
            assert client.told == [f'stored {{"order_uid":"{number}"}}' for number in range(count)]
            assert not client.response.done()

    asyncio.run(play())


def has(client: Client, count: int) -> bool:
    return client.text.count("event: ") >= count


def test_a_reader_that_pauses_gets_what_it_left_unread() -> None:
    async def play() -> None:
        feed = EventBroadcaster(buffer_size=10_000, max_clients=10)
        client = await connected(feed)
        for _ in range(4):
            client.may_take.clear()
            feed.publish("stored", [*map(str, range(2_500))])
            await client.read()
            client.may_take.set()
        await until(partial(has, client, 10_000))
        assert not client.response.done()

    asyncio.run(play())


def test_a_reader_of_a_long_past_is_not_dropped_for_its_length() -> None:
    async def play() -> None:
        feed = EventBroadcaster(buffer_size=2_000, max_clients=10)
        first = await connected(feed)
        for number in range(1_500):
            feed.publish("stored", [str(number)])
            await turns(2)
        await first.read()
        second = Client(feed.open(first.events[0]["id"]))
        feed.publish("stored", ["newest"])
        await second.read()
        assert len(second.told) == 1_500

    asyncio.run(play())


def test_a_reader_that_falls_behind_the_ring_is_told_and_goes_on_at_the_newest() -> None:
    async def play() -> None:
        feed = EventBroadcaster(buffer_size=3, max_clients=10)
        slow = await connected(feed)
        slow.may_take.clear()
        feed.publish("stored", ["a"])
        await slow.read()
        feed.publish("stored", ["b", "c", "d", "e", "f"])
        slow.may_take.set()
        await slow.read()
        feed.publish("stored", ["g"])
        await slow.read()
        assert slow.told == ['stored {"order_uid":"a"}', "reset {}", 'stored {"order_uid":"g"}']
        assert slow.events[1]["id"].endswith("-6")
        assert feed.clients == 1

    asyncio.run(play())


def test_a_client_that_goes_leaves_its_place() -> None:
    async def play() -> None:
        feed = EventBroadcaster(buffer_size=10, max_clients=1)
        client = await connected(feed)
        with pytest.raises(Problem) as refused:
            feed.open(None)
        assert refused.value.status_code == 503
        client.gone.set()
        await asyncio.wait_for(client.response, 5)
        await connected(feed)

    asyncio.run(play())


def test_what_ends_a_stream_by_itself_is_raised() -> None:
    async def play() -> None:
        feed = EventBroadcaster(buffer_size=10, max_clients=10)

        async def fail(_: Message) -> None:
            raise ValueError

        with pytest.raises(ValueError):  # noqa: PT011 - it has no text
            await feed.open(None)({"type": "http"}, asyncio.Event().wait, fail)  # type: ignore[arg-type]
        assert feed.clients == 0

    asyncio.run(play())


def test_streams_end_properly_when_the_feed_is_closed_and_no_new_one_begins() -> None:
    async def play() -> None:
        feed = EventBroadcaster(buffer_size=10, max_clients=10)
        client = await connected(feed)
        feed.close()
        await asyncio.wait_for(client.response, 5)
        assert client.is_ended
        with pytest.raises(Problem):
            feed.open(None)

    asyncio.run(play())


def test_a_quiet_stream_carries_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        monkeypatch.setattr(event_broadcaster, "HEARTBEAT_SECONDS", 0.0)
        client = await connected(EventBroadcaster(buffer_size=10, max_clients=10))
        assert ": heartbeat\n\n" in client.text
        client.gone.set()
        await asyncio.wait_for(client.response, 5)

    asyncio.run(play())

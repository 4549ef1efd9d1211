import asyncio
import json
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from service.handler.http.events import event_stream
from service.handler.http.responses.problems import Problem
from service.usecases.ports.reads import Notification
from tests.kit.event_streams import Client, Message, connect, new_broadcaster, stored
from tests.kit.waiting import until, until_idle

pytestmark = pytest.mark.anyio


async def test_a_client_gets_events_from_now_on() -> None:
    broadcaster = new_broadcaster()
    broadcaster.publish(stored("before"))
    client = await connect(broadcaster)
    broadcaster.publish(stored("a", "b"))
    broadcaster.publish(Notification(changed=["a"]))
    await client.read()
    assert client.contents == [
        'stored {"order_uid":"a"}',
        'stored {"order_uid":"b"}',
        'replaced {"order_uid":"a"}',
    ]
    numbers = [int(event["id"].rpartition("-")[2]) for event in client.events]
    assert numbers == [2, 3, 4]


async def test_a_reconnecting_client_continues_after_its_last_event() -> None:
    broadcaster = new_broadcaster()
    first = await connect(broadcaster)
    broadcaster.publish(stored("a", "b", "c"))
    await first.read()
    second = await connect(broadcaster, first.events[0]["id"])
    assert second.contents == ['stored {"order_uid":"b"}', 'stored {"order_uid":"c"}']


async def test_replayed_events_keep_their_times() -> None:
    broadcaster = new_broadcaster()
    first = await connect(broadcaster)
    broadcaster.publish(stored("a", "b"))
    broadcaster.reset()
    await first.read()
    then = [datetime.fromisoformat(json.loads(event["data"])["at"]) for event in first.events]
    assert len(then) == 3
    assert all(timedelta(0) <= datetime.now(UTC) - at < timedelta(seconds=60) for at in then)
    second = await connect(broadcaster, first.events[0]["id"])
    assert second.events == first.events[1:]


@pytest.mark.parametrize("last", ["nonsense", "00000000-1", "{process}-99", "{process}-0", "{process}--1", "٣"])
async def test_an_unknown_event_id_gets_a_reset_and_then_new_events(last: str) -> None:
    broadcaster = new_broadcaster(buffer_size=2)
    first = await connect(broadcaster)
    broadcaster.publish(stored("a", "b", "c"))
    await first.read()
    process = first.events[0]["id"].partition("-")[0]
    client = await connect(broadcaster, last.format(process=process))
    assert client.contents == ["reset {}"]
    broadcaster.publish(stored("d"))
    await client.read()
    assert client.contents == ["reset {}", 'stored {"order_uid":"d"}']
    again = await connect(broadcaster, client.events[0]["id"])
    assert again.contents == ['stored {"order_uid":"d"}']


async def test_a_reset_reaches_all_clients() -> None:
    broadcaster = new_broadcaster()
    client = await connect(broadcaster)
    broadcaster.reset()
    await client.read()
    assert client.contents == ["reset {}"]


async def test_a_client_that_stalls_is_disconnected_during_a_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_stream, "STALL_SECONDS", 0.2)
    dropped: list[bool] = []
    broadcaster = new_broadcaster(buffer_size=100, on_drop=lambda: dropped.append(True))
    slow, quick = await connect(broadcaster), await connect(broadcaster)
    slow.may_read.clear()
    for number in range(6):
        broadcaster.publish(stored(str(number)))
        await quick.read()
    assert not slow.response.done()
    await asyncio.wait_for(slow.response, 5)
    assert dropped == [True]
    assert broadcaster.clients == 1
    assert not slow.is_ended  # no final chunk was sent
    assert len(quick.contents) == 6


@pytest.mark.parametrize("count", [4_000, 50_000])
async def test_a_reading_client_gets_all_events_however_many_are_published_at_once(count: int) -> None:
    broadcaster = new_broadcaster(buffer_size=count)
    clients = [await connect(broadcaster) for _ in range(2)]
    broadcaster.publish(stored(*map(str, range(count))))
    for client in clients:
        await until(partial(has, client, count))
        assert client.contents == [f'stored {{"order_uid":"{number}"}}' for number in range(count)]
        assert not client.response.done()


def has(client: Client, count: int) -> bool:
    return client.text.count("event: ") >= count


async def test_a_client_that_pauses_gets_all_events() -> None:
    broadcaster = new_broadcaster(buffer_size=10_000)
    client = await connect(broadcaster)
    for _ in range(4):
        client.may_read.clear()
        broadcaster.publish(stored(*map(str, range(2_500))))
        await client.read()
        client.may_read.set()
    await until(partial(has, client, 10_000))
    assert not client.response.done()


async def test_a_client_that_replays_many_events_is_not_disconnected() -> None:
    broadcaster = new_broadcaster(buffer_size=2_000)
    first = await connect(broadcaster)
    for number in range(1_500):
        broadcaster.publish(stored(str(number)))
        await until_idle()
    await first.read()
    second = Client(broadcaster.open(first.events[0]["id"]))
    broadcaster.publish(stored("newest"))
    await second.read()
    assert len(second.contents) == 1_500


async def test_a_client_that_falls_behind_the_buffer_gets_a_reset_and_continues_at_the_newest() -> None:
    broadcaster = new_broadcaster(buffer_size=3)
    slow = await connect(broadcaster)
    slow.may_read.clear()
    broadcaster.publish(stored("a"))
    await slow.read()
    broadcaster.publish(stored("b", "c", "d", "e", "f"))
    slow.may_read.set()
    await slow.read()
    broadcaster.publish(stored("g"))
    await slow.read()
    assert slow.contents == ['stored {"order_uid":"a"}', "reset {}", 'stored {"order_uid":"g"}']
    assert slow.events[1]["id"].endswith("-6")
    assert broadcaster.clients == 1


async def test_a_disconnected_client_no_longer_counts() -> None:
    broadcaster = new_broadcaster(max_clients=1)
    client = await connect(broadcaster)
    with pytest.raises(Problem) as refused:
        broadcaster.open(None)
    assert refused.value.status_code == 503
    client.disconnected.set()
    await asyncio.wait_for(client.response, 5)
    await connect(broadcaster)


async def test_errors_of_a_stream_are_raised() -> None:
    broadcaster = new_broadcaster()

    async def fail(_: Message) -> None:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - it has no text
        await broadcaster.open(None)({"type": "http"}, asyncio.Event().wait, fail)  # type: ignore[arg-type]
    assert broadcaster.clients == 0


async def test_closing_ends_all_streams_and_refuses_new_ones() -> None:
    broadcaster = new_broadcaster()
    client = await connect(broadcaster)
    broadcaster.close()
    await asyncio.wait_for(client.response, 5)
    assert client.is_ended
    with pytest.raises(Problem):
        broadcaster.open(None)


async def test_a_quiet_stream_carries_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "HEARTBEAT_SECONDS", 0.0)
    client = Client(new_broadcaster().open(None))
    await until(lambda: ": heartbeat\n\n" in client.text)
    client.disconnected.set()
    await asyncio.wait_for(client.response, 5)

"""Streams with summaries: what they send, and what reading the summaries costs."""

import json
from functools import partial

import pytest

from service.handler.http.events import summary_loader
from service.handler.http.events.event_buffer import MAX_EVENTS_PER_CHUNK
from service.usecases.ports.reads import Notification
from tests.kit.event_streams import Client, SummaryTable, connect, new_broadcaster, stored
from tests.kit.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
def summaries() -> SummaryTable:
    summaries = SummaryTable()
    summaries.by_uid = {"a": b'{"items":1}', "b": b'{"items":2}'}
    return summaries


def summaries_of(client: Client) -> list[tuple[str, object]]:
    data = [json.loads(event["data"]) for event in client.events]
    return [(each.get("order_uid", ""), each.get("summary", "none")) for each in data]


async def test_a_stream_gets_summaries_only_if_it_includes_them(summaries: SummaryTable) -> None:
    broadcaster = new_broadcaster(summaries)
    plain, with_summaries = await connect(broadcaster), await connect(broadcaster, with_summaries=True)
    broadcaster.publish(stored("a", "b", "deleted"))
    await with_summaries.read()
    assert summaries_of(plain) == [("a", "none"), ("b", "none"), ("deleted", "none")]
    assert summaries_of(with_summaries) == [("a", {"items": 1}), ("b", {"items": 2}), ("deleted", None)]
    assert [event["id"] for event in plain.events] == [event["id"] for event in with_summaries.events]


async def test_without_such_a_stream_nothing_is_read(summaries: SummaryTable) -> None:
    broadcaster = new_broadcaster(summaries)
    client = await connect(broadcaster)
    broadcaster.publish(stored("a"))
    await client.read()
    assert summaries.queries == []


async def test_all_streams_share_one_query_for_each_batch(summaries: SummaryTable) -> None:
    broadcaster = new_broadcaster(summaries)
    clients = [await connect(broadcaster, with_summaries=True) for _ in range(5)]
    broadcaster.publish(stored("a", "b"))
    await clients[-1].read()
    broadcaster.publish(Notification(changed=["a"]))
    await clients[-1].read()
    assert summaries.queries == [["a", "b"], ["a"]]
    assert all(len(client.events) == 3 for client in clients)


async def test_events_published_during_a_query_share_the_next_one(summaries: SummaryTable) -> None:
    broadcaster = new_broadcaster(summaries)
    client = await connect(broadcaster, with_summaries=True)
    summaries.gate.clear()
    for uid in ("a", "b", "c"):
        broadcaster.publish(stored(uid))
        await client.read()
    assert client.events == []
    summaries.gate.set()
    await client.read()
    assert summaries.queries == [["a"], ["b", "c"]]
    assert [uid for uid, _ in summaries_of(client)] == ["a", "b", "c"]


async def test_plain_streams_do_not_wait_for_summaries(summaries: SummaryTable) -> None:
    broadcaster = new_broadcaster(summaries)
    plain, with_summaries = await connect(broadcaster), await connect(broadcaster, with_summaries=True)
    summaries.gate.clear()
    broadcaster.publish(stored("a"))
    await plain.read()
    assert (len(plain.events), len(with_summaries.events)) == (1, 0)
    broadcaster.close()


async def test_a_reconnecting_client_gets_summaries_of_the_events_it_missed(summaries: SummaryTable) -> None:
    broadcaster = new_broadcaster(summaries)
    plain = await connect(broadcaster)
    broadcaster.publish(stored("x", "a"))
    broadcaster.reset()
    broadcaster.publish(stored("b"))
    await plain.read()
    client = await connect(broadcaster, plain.events[0]["id"], with_summaries=True)
    assert summaries_of(client) == [("a", {"items": 1}), ("", "none"), ("b", {"items": 2})]
    assert [event["id"] for event in client.events] == [event["id"] for event in plain.events[1:]]
    again = await connect(broadcaster, client.events[1]["id"], with_summaries=True)
    assert summaries_of(again) == [("b", {"items": 2})]
    assert summaries.queries == [["a", "b"]]


async def test_a_stream_that_waits_beyond_the_buffer_gets_a_reset(summaries: SummaryTable) -> None:
    broadcaster = new_broadcaster(summaries, buffer_size=2)
    client = await connect(broadcaster, with_summaries=True)
    summaries.gate.clear()
    broadcaster.publish(stored("a"))
    await client.read()
    broadcaster.publish(stored("b", "c", "d"))
    summaries.gate.set()
    await client.read()
    broadcaster.publish(stored("b"))
    await client.read()
    assert summaries_of(client) == [("", "none"), ("b", {"items": 2})]


async def test_queries_and_buffered_summaries_are_bounded(
    summaries: SummaryTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary_loader, "MAX_EVENTS_WITH_SUMMARY", MAX_EVENTS_PER_CHUNK)
    broadcaster = new_broadcaster(summaries, buffer_size=5_000)
    clients = [await connect(broadcaster, with_summaries=True) for _ in range(2)]
    broadcaster.publish(stored(*map(str, range(2_000))))
    for client in clients:
        await until(partial(lambda client: len(client.events) == 2_000, client))
    assert max(map(len, summaries.queries)) == MAX_EVENTS_PER_CHUNK
    assert len(summaries.queries) == 4
    chunks = [broadcaster._buffer.after(number) for number in range(0, 2_000, MAX_EVENTS_PER_CHUNK)]
    with_summary = [event for chunk in chunks for event in chunk if event.with_summary]
    assert len(with_summary) == MAX_EVENTS_PER_CHUNK

import { expect, test } from "vitest";
import { Feed, MAX_ROWS, STALE_AFTER_MS } from "../src/feed";
import type { ServerEvent } from "../src/sse";

/** Browser time; server time is one hour ahead. */
const NOW = 1_000_000_000;
const HOUR = 3_600_000;

function event(kind: string, at: number, uid = "a1", since?: number): ServerEvent {
  const time = (moment: number) => new Date(moment + HOUR).toISOString();
  const data = { at: time(at), ...(kind === "reset" ? {} : { order_uid: uid }) };
  return { id: "1", kind, data: JSON.stringify(since === undefined ? data : { ...data, since: time(since) }) };
}

function connected(): Feed {
  const feed = new Feed();
  feed.onConnected(NOW, NOW + HOUR, false);
  return feed;
}

/** Deliver one event per second, each without delay. */
function follow(feed: Feed, from: number, seconds: number): void {
  for (let at = from; at < from + seconds * 1_000; at += 1_000) {
    feed.addEvents([event("stored", at)], at);
    feed.onDataReceived(at);
  }
}

test("rows have the kind, the order UID and the server time, newest first", () => {
  const feed = connected();
  feed.addEvents([event("stored", NOW, "a1"), event("replaced", NOW + 5, "b2")], NOW + 5_000);
  expect(feed.newestFirst()).toEqual([
    { number: 2, kind: "replaced", orderUid: "b2", at: NOW + HOUR + 5 },
    { number: 1, kind: "stored", orderUid: "a1", at: NOW + HOUR },
  ]);
});

test("an event without a time, from an older API, has its time of arrival", () => {
  const feed = connected();
  feed.addEvents([{ id: "1", kind: "stored", data: '{"order_uid":"a1"}' }], NOW + 7);
  expect(feed.newestFirst()[0]?.at).toBe(NOW + HOUR + 7);
});

test("a steady rate has equal counts", () => {
  const feed = connected();
  follow(feed, NOW, 30);
  expect(feed.series(NOW + 30_000).counts).toEqual(Array(30).fill(1));
});

test("events that arrive late are counted at their own times", () => {
  const feed = connected();
  follow(feed, NOW, 10);
  const late = Array.from({ length: 60 }, (_, index) => event("stored", NOW + 10_000 + index * 1_000));
  feed.addEvents(late, NOW + 70_000);
  feed.onDataReceived(NOW + 70_000);
  expect(feed.series(NOW + 70_000).counts).toEqual(Array(70).fill(1));
});

test("a long silence is a gap until data arrives; a short one counts as zero", () => {
  const feed = connected();
  follow(feed, NOW, 10);
  expect(feed.series(NOW + 15_000).counts).toEqual([...Array(10).fill(1), ...Array(5).fill(0)]);
  const standing = NOW + 10_000 + 2 * STALE_AFTER_MS;
  expect(feed.series(standing).counts.slice(9)).toEqual(Array(41).fill(null));
  feed.onDataReceived(standing);
  expect(feed.series(standing).counts.slice(10)).toEqual(Array(40).fill(0));
});

test("a disconnection is a gap until a resumed stream delivers the missing events", () => {
  const feed = connected();
  follow(feed, NOW, 10);
  feed.onDisconnected();
  expect(feed.series(NOW + 14_000).counts).toEqual([...Array(9).fill(1), ...Array(5).fill(null)]);
  feed.onConnected(NOW + 14_000, NOW + 14_000 + HOUR, true);
  feed.addEvents([event("stored", NOW + 12_000)], NOW + 14_000);
  feed.onDataReceived(NOW + 14_000);
  expect(feed.series(NOW + 15_000).counts).toEqual([...Array(10).fill(1), 0, 0, 1, 0, 0]);
});

test("a new stream leaves a gap", () => {
  const feed = connected();
  follow(feed, NOW, 10);
  feed.onDisconnected();
  feed.onConnected(NOW + 14_000, NOW + 14_000 + HOUR, false);
  feed.onDataReceived(NOW + 14_000);
  expect(feed.series(NOW + 16_000).counts).toEqual([...Array(9).fill(1), ...Array(5).fill(null), 0, 0]);
});

test("a reset is a row, is not counted, and leaves a gap since the disconnection", () => {
  const feed = connected();
  follow(feed, NOW, 10);
  feed.onDisconnected();
  feed.onConnected(NOW + 13_000, NOW + 13_000 + HOUR, true);
  feed.addEvents([event("reset", NOW + 13_500), event("stored", NOW + 15_000)], NOW + 15_000);
  expect(feed.newestFirst().map((row) => row.kind).slice(0, 2)).toEqual(["stored", "reset"]);
  expect(feed.series(NOW + 16_000).counts).toEqual([...Array(9).fill(1), ...Array(5).fill(null), 0, 1]);
});

test("a reset with `since` leaves a gap since then, even on an open stream", () => {
  const feed = connected();
  follow(feed, NOW, 10);
  feed.onDataReceived(NOW + 13_000);
  feed.addEvents([event("reset", NOW + 13_500, "", NOW + 10_500)], NOW + 13_500);
  feed.onDataReceived(NOW + 13_500);
  expect(feed.series(NOW + 15_000).counts).toEqual([...Array(10).fill(1), ...Array(4).fill(null), 0]);
});

test("a reset after a standstill leaves a gap since the last event, even if later data arrived before it", () => {
  const feed = connected();
  follow(feed, NOW, 10);
  feed.addEvents([event("stored", NOW + 12_000)], NOW + 60_000);
  feed.onDataReceived(NOW + 60_000);
  feed.addEvents([event("reset", NOW + 60_000)], NOW + 60_000);
  feed.onDataReceived(NOW + 60_000);
  expect(feed.series(NOW + 60_000).counts).toEqual([...Array(10).fill(1), 0, 0, ...Array(48).fill(null)]);
});

test("before the first connection there is no series", () => {
  expect(new Feed().series(NOW)).toEqual({ seconds: [], counts: [] });
});

test("events of an unknown kind are ignored", () => {
  const feed = connected();
  feed.addEvents([event("archived", NOW)], NOW);
  expect(feed.total).toBe(0);
});

test("memory does not grow with the number of events", () => {
  const feed = connected();
  for (let count = 0; count < 1_000; count += 1) feed.addEvents(Array(100).fill(event("stored", NOW + count)), NOW + count);
  expect(feed.total).toBe(100_000);
  expect(feed.newestFirst()).toHaveLength(MAX_ROWS);
});

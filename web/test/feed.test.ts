import { expect, test } from "vitest";
import { Feed, MAX_ROWS, QUIET_MS } from "../src/feed";
import type { ServerEvent } from "../src/sse";

/** Ours; the server's is an hour ahead. */
const NOW = 1_000_000_000;
const HOUR = 3_600_000;

function event(kind: string, at: number, uid = "a1", since?: number): ServerEvent {
  const time = (moment: number) => new Date(moment + HOUR).toISOString();
  const data = { at: time(at), ...(kind === "reset" ? {} : { order_uid: uid }) };
  return { id: "1", kind, data: JSON.stringify(since === undefined ? data : { ...data, since: time(since) }) };
}

function opened(): Feed {
  const feed = new Feed();
  feed.opened(NOW, NOW + HOUR, false);
  return feed;
}

/** One event a second from the time on, each as it happens. */
function follow(feed: Feed, from: number, seconds: number): void {
  for (let at = from; at < from + seconds * 1_000; at += 1_000) {
    feed.take([event("stored", at)], at);
    feed.heard(at);
  }
}

test("rows tell what happened to which order and when by the server's clock, newest first", () => {
  const feed = opened();
  feed.take([event("stored", NOW, "a1"), event("replaced", NOW + 5, "b2")], NOW + 5_000);
  expect(feed.newestFirst()).toEqual([
    { number: 2, kind: "replaced", orderUid: "b2", at: NOW + HOUR + 5 },
    { number: 1, kind: "stored", orderUid: "a1", at: NOW + HOUR },
  ]);
});

test("an event without a time, of an earlier API, happened when it came", () => {
  const feed = opened();
  feed.take([{ id: "1", kind: "stored", data: '{"order_uid":"a1"}' }], NOW + 7);
  expect(feed.newestFirst()[0]?.at).toBe(NOW + HOUR + 7);
});

test("a steady rate is drawn as one", () => {
  const feed = opened();
  follow(feed, NOW, 30);
  expect(feed.series(NOW + 30_000).counts).toEqual(Array(30).fill(1));
});

test("what comes at once after this page stood still is drawn where it happened", () => {
  const feed = opened();
  follow(feed, NOW, 10);
  const late = Array.from({ length: 60 }, (_, index) => event("stored", NOW + 10_000 + index * 1_000));
  feed.take(late, NOW + 70_000);
  feed.heard(NOW + 70_000);
  expect(feed.series(NOW + 70_000).counts).toEqual(Array(70).fill(1));
});

test("a standstill is a gap until something comes, and quiet seconds are none", () => {
  const feed = opened();
  follow(feed, NOW, 10);
  expect(feed.series(NOW + 15_000).counts).toEqual([...Array(10).fill(1), ...Array(5).fill(0)]);
  const standing = NOW + 10_000 + 2 * QUIET_MS;
  expect(feed.series(standing).counts.slice(9)).toEqual(Array(41).fill(null));
  feed.heard(standing);
  expect(feed.series(standing).counts.slice(10)).toEqual(Array(40).fill(0));
});

test("while there is no stream nothing is known, and a resumed one tells the rest", () => {
  const feed = opened();
  follow(feed, NOW, 10);
  feed.lost();
  expect(feed.series(NOW + 14_000).counts).toEqual([...Array(9).fill(1), ...Array(5).fill(null)]);
  feed.opened(NOW + 14_000, NOW + 14_000 + HOUR, true);
  feed.take([event("stored", NOW + 12_000)], NOW + 14_000);
  feed.heard(NOW + 14_000);
  expect(feed.series(NOW + 15_000).counts).toEqual([...Array(10).fill(1), 0, 0, 1, 0, 0]);
});

test("a stream that is not resumed leaves a gap", () => {
  const feed = opened();
  follow(feed, NOW, 10);
  feed.lost();
  feed.opened(NOW + 14_000, NOW + 14_000 + HOUR, false);
  feed.heard(NOW + 14_000);
  expect(feed.series(NOW + 16_000).counts).toEqual([...Array(9).fill(1), ...Array(5).fill(null), 0, 0]);
});

test("a reset is a row, no order of the rate, and a gap since the stream was lost", () => {
  const feed = opened();
  follow(feed, NOW, 10);
  feed.lost();
  feed.opened(NOW + 13_000, NOW + 13_000 + HOUR, true);
  feed.take([event("reset", NOW + 13_500), event("stored", NOW + 15_000)], NOW + 15_000);
  expect(feed.newestFirst().map((row) => row.kind).slice(0, 2)).toEqual(["stored", "reset"]);
  expect(feed.series(NOW + 16_000).counts).toEqual([...Array(9).fill(1), ...Array(5).fill(null), 0, 1]);
});

test("a reset that says since when is a gap since then, although the stream was open", () => {
  const feed = opened();
  follow(feed, NOW, 10);
  feed.heard(NOW + 13_000);
  feed.take([event("reset", NOW + 13_500, "", NOW + 10_500)], NOW + 13_500);
  feed.heard(NOW + 13_500);
  expect(feed.series(NOW + 15_000).counts).toEqual([...Array(10).fill(1), ...Array(4).fill(null), 0]);
});

test("what was skipped while this page stood still is a gap, although later bytes were heard before that was said", () => {
  const feed = opened();
  follow(feed, NOW, 10);
  feed.take([event("stored", NOW + 12_000)], NOW + 60_000);
  feed.heard(NOW + 60_000);
  feed.take([event("reset", NOW + 60_000)], NOW + 60_000);
  feed.heard(NOW + 60_000);
  expect(feed.series(NOW + 60_000).counts).toEqual([...Array(10).fill(1), 0, 0, ...Array(48).fill(null)]);
});

test("before there was a stream there is nothing", () => {
  expect(new Feed().series(NOW)).toEqual({ seconds: [], counts: [] });
});

test("kinds of a later API are passed over", () => {
  const feed = opened();
  feed.take([event("archived", NOW)], NOW);
  expect(feed.total).toBe(0);
});

test("what is held does not grow with what came", () => {
  const feed = opened();
  for (let count = 0; count < 1_000; count += 1) feed.take(Array(100).fill(event("stored", NOW + count)), NOW + count);
  expect(feed.total).toBe(100_000);
  expect(feed.newestFirst()).toHaveLength(MAX_ROWS);
});

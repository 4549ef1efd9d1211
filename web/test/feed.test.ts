import { expect, test } from "vitest";
import { Feed, MAX_ROWS } from "../src/feed";
import type { ServerEvent } from "../src/sse";

const NOW = 1_000_000;

function event(kind: string, uid = "a1"): ServerEvent {
  return { id: "1", kind, data: kind === "reset" ? "{}" : JSON.stringify({ order_uid: uid }) };
}

test("rows tell what happened to which order, newest first", () => {
  const feed = new Feed(NOW);
  feed.take([event("stored", "a1"), event("replaced", "b2")], NOW);
  expect(feed.newestFirst()).toEqual([
    { number: 2, kind: "replaced", orderUid: "b2", at: NOW },
    { number: 1, kind: "stored", orderUid: "a1", at: NOW },
  ]);
});

test("a reset is a row, and no order of the rate", () => {
  const feed = new Feed(NOW);
  feed.take([event("reset"), event("stored")], NOW);
  expect(feed.newestFirst().map((row) => row.kind)).toEqual(["stored", "reset"]);
  expect(feed.series(NOW + 1_000).counts).toEqual([1]);
});

test("kinds of a later API are passed over", () => {
  const feed = new Feed(NOW);
  feed.take([event("archived")], NOW);
  expect(feed.total).toBe(0);
});

test("what is held does not grow with what came", () => {
  const feed = new Feed(NOW);
  for (let count = 0; count < 1_000; count += 1) feed.take(Array(100).fill(event("stored")), NOW + count);
  expect(feed.total).toBe(100_000);
  expect(feed.newestFirst()).toHaveLength(MAX_ROWS);
});

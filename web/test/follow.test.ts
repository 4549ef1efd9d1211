import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Api, Result } from "../src/api";
import { follow, snapshot } from "../src/follow";
import type { DeadLetter } from "../src/types";
import { deadLetter } from "./dead-letters";
import { failure } from "./failures";

const ORIGINAL = { topic: "orders", partition: 1, offset: 7, timestamp: "" };
const REPLAYED = deadLetter({ original: ORIGINAL, replays: 0 });
const SIGNAL = new AbortController().signal;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function success(body: unknown, tag = ""): Result<unknown> {
  return { ok: true, body, text: "", headers: new Headers(tag ? { etag: tag } : {}), milliseconds: 1 };
}

function api(order: Result<unknown>, deadLetters: unknown[] = []): Api {
  const get = async (path: string) => (path.startsWith("orders/") ? order : success({ dead_letters: deadLetters }));
  return { get } as unknown as Api;
}

async function fate(client: Api, tag: string | null, successors: DeadLetter[] = []) {
  const followed = follow(client, REPLAYED, "uid", { tag, successors }, SIGNAL);
  await vi.runAllTimersAsync();
  return followed;
}

test("an order that appears or changes is stored", async () => {
  expect(await fate(api(success({}, '"new"')), "")).toEqual({ kind: "stored" });
  expect(await fate(api(success({}, '"new"')), '"old"')).toEqual({ kind: "stored" });
});

test("a dead letter of the same record with more replays is back", async () => {
  const other = deadLetter({ original: { ...ORIGINAL, offset: 8 }, replays: 1 });
  const back = deadLetter({ offset: 13, original: ORIGINAL, replays: 1 });
  expect(await fate(api(failure(404), [other, back, REPLAYED]), "")).toEqual({ kind: "back", deadLetter: back });
});

test("a dead letter that an earlier replay has left is not back", async () => {
  const earlier = deadLetter({ offset: 13, original: ORIGINAL, replays: 1 });
  expect(await fate(api(failure(404), [earlier, REPLAYED]), "", [earlier])).toEqual({ kind: "unknown" });
});

test("an order that stays the same is unchanged, one that never appears is unknown", async () => {
  expect(await fate(api(success({}, '"old"')), '"old"')).toEqual({ kind: "unchanged" });
  expect(await fate(api(failure(404), [REPLAYED]), "")).toEqual({ kind: "unknown" });
});

test("an order whose earlier state is unknown is not taken for stored", async () => {
  expect(await fate(api(success({}, '"old"')), null)).toEqual({ kind: "unknown" });
});

test("the snapshot tells a missing order from an unreadable one", async () => {
  const tag = async (order: Result<unknown>) => (await snapshot(api(order), REPLAYED, "uid", SIGNAL)).tag;
  expect(await tag(success({}, '"old"'))).toBe('"old"');
  expect(await tag(failure(404))).toBe("");
  expect(await tag(failure(503))).toBeNull();
});

import { expect, test, vi } from "vitest";
import type { Api, Result } from "../src/api";
import { search } from "../src/matches";
import { failure } from "./failures";

const SIGNAL = new AbortController().signal;

function success(body: unknown): Result<unknown> {
  return { ok: true, body, text: "", headers: new Headers(), milliseconds: 1 };
}

function page(uids: string[], next: string | null = null): Result<unknown> {
  return success({ orders: uids.map((order_uid) => ({ order_uid })), next_cursor: next });
}

function api(order: Result<unknown>, byTrack: Result<unknown>, byCustomer: Result<unknown>) {
  const get = vi.fn(async (path: string) => (path.startsWith("orders/") ? order : path.includes("track") ? byTrack : byCustomer));
  return { get } as unknown as Api & { get: typeof get };
}

test("an order, orders with a track number and orders of a customer are found at once", async () => {
  const found = await search(api(success({}), page(["b"]), page(["c", "d"], "more")), "a", SIGNAL);
  expect(found).toMatchObject({
    ok: true,
    body: [
      { label: "a", fragment: "#/orders/a" },
      { label: "b", detail: "Order with the track number a", fragment: "#/orders/b" },
      { label: "a", detail: "More than 2 orders with this customer id", fragment: "#/?customer_id=a" },
    ],
  });
});

test("what cannot be an order UID is no order's path", async () => {
  const client = api(failure(500), page([]), page([]));
  expect(await search(client, "a/../b", SIGNAL)).toMatchObject({ ok: true, body: [] });
  expect(client.get).toHaveBeenCalledTimes(2);
});

test("a cached order is found although the lists are unavailable", async () => {
  expect(await search(api(success({}), failure(503), failure(503)), "a", SIGNAL)).toMatchObject({ ok: true });
});

test("an outage is not reported as nothing found", async () => {
  expect(await search(api(failure(404), failure(503), page([])), "a", SIGNAL)).toEqual(failure(503));
});

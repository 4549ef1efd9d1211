import { expect, test } from "vitest";
import type { Failure, Result, Success } from "../src/api";
import { ERASED, ORDER, failureMessage } from "../src/messages";
import { readOrder } from "../src/orders";
import { failure } from "./failures";

const never = new AbortController().signal;
const found: Success<unknown> = { ok: true, body: {}, text: "{}", headers: new Headers(), milliseconds: 1 };
const missing = failure(404);
const erased = failure(404, { type: ERASED, detail: "the order was erased at 2026-03-01T12:00:00.000Z" });

/** Reads the order "a" with these results by path, and returns the requested paths and the result. */
async function read(results: Record<string, Result<unknown>>): Promise<[string[], Result<unknown>]> {
  const paths: string[] = [];
  const get = <T>(path: string): Promise<Result<T>> => {
    paths.push(path);
    return Promise.resolve((results[path] ?? failure(0)) as Result<T>);
  };
  return [paths, await readOrder({ get }, "a", never)];
}

test("the history of a stored order is not requested", async () => {
  expect(await read({ "orders/a": found })).toEqual([["orders/a"], found]);
});

test("the history tells an erased order from an unknown one", async () => {
  const paths = ["orders/a", "orders/a/history"];
  expect(await read({ "orders/a": missing, "orders/a/history": erased })).toEqual([paths, erased]);
  expect(await read({ "orders/a": missing, "orders/a/history": missing })).toEqual([paths, missing]);
});

test.each<Failure>([failure(503), failure(0)])("a history that cannot be read changes nothing", async (unreadable) => {
  expect((await read({ "orders/a": missing, "orders/a/history": unreadable }))[1]).toBe(missing);
});

test("an erased order has a message of its own", () => {
  expect(failureMessage(erased, ORDER)).toBe("Not stored: the order was erased at 2026-03-01T12:00:00.000Z.");
});

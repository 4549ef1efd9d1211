import { expect, test, vi } from "vitest";
import type { Result } from "../src/api";
import { firstNonEmptyPage } from "../src/search";
import type { DeadLetterPage } from "../src/types";
import { deadLetter } from "./dead-letters";
import { failure } from "./failures";

function page(count: number, next: string | null): Result<DeadLetterPage> {
  const body = { dead_letters: Array(count).fill(deadLetter()), next_cursor: next };
  return { ok: true, body, text: "", headers: new Headers(), milliseconds: 1 };
}

function pages(...results: Result<DeadLetterPage>[]) {
  return vi.fn(async (_cursor: string | null) => results.shift() ?? page(0, "more"));
}

test("it stops at a page with dead letters", async () => {
  const load = pages(page(1, "b"));
  await firstNonEmptyPage(load, "a");
  expect(load.mock.calls).toEqual([["a"]]);
});

test("it skips empty pages", async () => {
  const load = pages(page(0, "b"), page(0, "c"), page(2, "d"));
  expect(await firstNonEmptyPage(load, null)).toMatchObject({ body: { next_cursor: "d" } });
  expect(load.mock.calls).toEqual([[null], ["b"], ["c"]]);
});

test("it reads at most five pages", async () => {
  const load = pages();
  expect(await firstNonEmptyPage(load, null)).toMatchObject({ body: { dead_letters: [], next_cursor: "more" } });
  expect(load).toHaveBeenCalledTimes(5);
});

test.each([
  ["the last page", page(0, null)],
  ["a failure", failure(503)],
])("%s ends the search", async (_name, result) => {
  const load = pages(result);
  expect(await firstNonEmptyPage(load, null)).toBe(result);
  expect(load).toHaveBeenCalledTimes(1);
});

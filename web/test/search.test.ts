import { expect, test, vi } from "vitest";
import type { Result } from "../src/api";
import { firstFilled } from "../src/search";
import type { DeadLetterPage } from "../src/types";
import { letter } from "./letters";
import { refusal } from "./refusals";

function page(letters: number, next: string | null): Result<DeadLetterPage> {
  const body = { dead_letters: Array(letters).fill(letter()), next_cursor: next };
  return { ok: true, body, text: "", headers: new Headers(), milliseconds: 1 };
}

function pages(...answers: Result<DeadLetterPage>[]) {
  return vi.fn(async (_cursor: string | null) => answers.shift() ?? page(0, "more"));
}

test("a page that holds letters is enough", async () => {
  const load = pages(page(1, "b"));
  await firstFilled(load, "a");
  expect(load.mock.calls).toEqual([["a"]]);
});

test("pages that hold none are passed", async () => {
  const load = pages(page(0, "b"), page(0, "c"), page(2, "d"));
  expect(await firstFilled(load, null)).toMatchObject({ body: { next_cursor: "d" } });
  expect(load.mock.calls).toEqual([[null], ["b"], ["c"]]);
});

test("it looks through five pages at once", async () => {
  const load = pages();
  expect(await firstFilled(load, null)).toMatchObject({ body: { dead_letters: [], next_cursor: "more" } });
  expect(load).toHaveBeenCalledTimes(5);
});

test.each([
  ["the last page", page(0, null)],
  ["a refusal", refusal(503)],
])("%s ends the search", async (_name, answer) => {
  const load = pages(answer);
  expect(await firstFilled(load, null)).toBe(answer);
  expect(load).toHaveBeenCalledTimes(1);
});

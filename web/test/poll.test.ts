import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { poll } from "../src/poll";

const EVERY_MS = 2_000;

class FakeDocument extends EventTarget {
  hidden = false;

  turn(hidden: boolean): void {
    this.hidden = hidden;
    this.dispatchEvent(new Event("visibilitychange"));
  }
}

let page: FakeDocument;

beforeEach(() => {
  page = new FakeDocument();
  vi.useFakeTimers();
  vi.stubGlobal("document", page);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("it requests at once, and again after each response", async () => {
  const ask = vi.fn(async () => true);
  poll(ask, EVERY_MS);
  await vi.advanceTimersByTimeAsync(2 * EVERY_MS);
  expect(ask).toHaveBeenCalledTimes(3);
});

test("it pauses while the document is hidden, and requests at once when it is visible again", async () => {
  const ask = vi.fn(async () => true);
  poll(ask, EVERY_MS);
  page.turn(true);
  await vi.advanceTimersByTimeAsync(10 * EVERY_MS);
  expect(ask).toHaveBeenCalledTimes(1);
  page.turn(false);
  expect(ask).toHaveBeenCalledTimes(2);
});

test("it never has two requests at a time", async () => {
  const ask = vi.fn(() => new Promise<boolean>(() => undefined));
  poll(ask, EVERY_MS);
  page.turn(false);
  await vi.advanceTimersByTimeAsync(10 * EVERY_MS);
  expect(ask).toHaveBeenCalledTimes(1);
});

test("it stops when a request returns false", async () => {
  const ask = vi.fn(async () => false);
  poll(ask, EVERY_MS);
  await vi.advanceTimersByTimeAsync(10 * EVERY_MS);
  expect(ask).toHaveBeenCalledTimes(1);
});

test("stopping it aborts the running request", async () => {
  const signals: AbortSignal[] = [];
  const stop = poll(async (signal) => Boolean(signals.push(signal)), EVERY_MS);
  stop();
  await vi.advanceTimersByTimeAsync(10 * EVERY_MS);
  page.turn(false);
  expect(signals.map((signal) => signal.aborted)).toEqual([true]);
});

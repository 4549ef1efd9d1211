import { expect, test } from "vitest";
import { RingBuffer } from "../src/ring";

test("values are returned newest first", () => {
  const ring = new RingBuffer<number>(3);
  expect(ring.newestFirst()).toEqual([]);
  ring.push(1);
  ring.push(2);
  expect(ring.newestFirst()).toEqual([2, 1]);
});

test("a full buffer keeps the newest values", () => {
  const ring = new RingBuffer<number>(3);
  for (let value = 1; value <= 100_000; value += 1) ring.push(value);
  expect(ring.newestFirst()).toEqual([100_000, 99_999, 99_998]);
});

import { expect, test } from "vitest";
import { Rate } from "../src/rate";

const START = 1_000_000;

test("counts are by the second, without the one that is running", () => {
  const rate = new Rate(3, START);
  rate.count(START);
  rate.count(START + 999);
  rate.count(START + 1_000);
  rate.count(START + 2_000);
  expect(rate.series(START + 2_500)).toEqual({ seconds: [1_000, 1_001], counts: [2, 1] });
});

test("nothing is told of the time before it began, nor of the second in which it did", () => {
  const rate = new Rate(3, START + 500);
  rate.count(START + 600);
  expect(rate.series(START + 600)).toEqual({ seconds: [], counts: [] });
  expect(rate.series(START + 2_000)).toEqual({ seconds: [1_001], counts: [0] });
});

test("seconds that passed without events are zero, and old ones leave the window", () => {
  const rate = new Rate(3, START);
  rate.count(START + 1_000);
  expect(rate.series(START + 4_000)).toEqual({ seconds: [1_001, 1_002, 1_003], counts: [1, 0, 0] });
  expect(rate.series(START + 5_000).counts).toEqual([0, 0, 0]);
  expect(rate.series(START + 9_000_000).counts).toEqual([0, 0, 0]);
});

test("a clock that is set back counts into the newest second", () => {
  const rate = new Rate(3, START);
  rate.count(START + 1_000);
  rate.count(START - 60_000);
  expect(rate.series(START + 2_000).counts).toEqual([0, 2]);
});

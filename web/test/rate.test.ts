import { expect, test } from "vitest";
import { Rate } from "../src/rate";

const START = 1_000_000;

test("events are counted per second, without the current second", () => {
  const rate = new Rate(3, START);
  rate.count(START);
  rate.count(START + 999);
  rate.count(START + 1_000);
  rate.count(START + 2_000);
  expect(rate.series(START + 2_500)).toEqual({ seconds: [1_000, 1_001], counts: [2, 1] });
});

test("the series begins after the second of its start", () => {
  const rate = new Rate(3, START + 500);
  rate.count(START + 600);
  expect(rate.series(START + 600)).toEqual({ seconds: [], counts: [] });
  expect(rate.series(START + 2_000)).toEqual({ seconds: [1_001], counts: [0] });
});

test("seconds without events are zero, and old seconds leave the window", () => {
  const rate = new Rate(3, START);
  rate.count(START + 1_000);
  expect(rate.series(START + 4_000)).toEqual({ seconds: [1_001, 1_002, 1_003], counts: [1, 0, 0] });
  expect(rate.series(START + 5_000).counts).toEqual([0, 0, 0]);
  expect(rate.series(START + 9_000_000).counts).toEqual([0, 0, 0]);
});

test("a late event counts at its own time, unless that has left the window", () => {
  const rate = new Rate(3, START);
  rate.count(START + 3_000);
  rate.count(START + 1_000);
  rate.count(START - 60_000);
  expect(rate.series(START + 4_000)).toEqual({ seconds: [1_001, 1_002, 1_003], counts: [1, 0, 1] });
});

test("a gap is null, and leaves the window", () => {
  const rate = new Rate(4, START);
  rate.count(START + 1_500);
  rate.gap(START + 1_800, START + 3_000);
  rate.count(START + 3_500);
  expect(rate.series(START + 4_000).counts).toEqual([0, null, null, 1]);
  expect(rate.series(START + 8_000).counts).toEqual([0, 0, 0, 0]);
});

test("a long gap marks at most the window", () => {
  const rate = new Rate(3, START);
  rate.gap(START - 9_000_000, START + 9_000_000);
  expect(rate.series(START + 9_001_000).counts).toEqual([null, null, 0]);
});

test("seconds after `completeUntil` are a gap", () => {
  const rate = new Rate(3, START);
  rate.count(START);
  expect(rate.series(START + 3_000, START + 1_500).counts).toEqual([1, null, null]);
});

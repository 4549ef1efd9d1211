import { expect, test } from "vitest";
import { MAX_SAMPLES, partitionValues, sparkline, withSample } from "../src/history";
import { failure } from "./failures";
import { fresh, STATS } from "./stats";

const WIDTH = MAX_SAMPLES - 1;

test("a sample has the figures", () => {
  const figures = { at: 5, storedPerSecond: 4.5, lag: 0, deadLetters: 2, hitRatio: 0.75, partitions: new Map() };
  expect(withSample([], fresh(STATS), 5)).toEqual([figures]);
});

test("a failed request is a gap, although the last value is known", () => {
  expect(withSample([], { value: STATS, failure: failure(0) }, 5)[0]).toMatchObject({ lag: null, storedPerSecond: null });
});

test("the lag of a partition has a gap where it is unknown", () => {
  const known = fresh({ ...STATS, partitions: [{ topic: "orders", partition: 3, messages: 7, seconds: null }] });
  const unknown = fresh({ ...STATS, partitions: null });
  const samples = [known, unknown, known].reduce((all, stats, at) => withSample(all, stats, at), withSample([], fresh(STATS), 0));
  expect(partitionValues(samples, "orders-3")).toEqual([null, 7, null, 7]);
});

test("the number of samples is bounded", () => {
  let samples = withSample([], fresh(STATS), 0);
  for (let at = 1; at < MAX_SAMPLES + 5; at += 1) samples = withSample(samples, fresh(STATS), at);
  expect(samples).toHaveLength(MAX_SAMPLES);
  expect(samples[0]?.at).toBe(5);
});

test("the newest value is at the right edge, and the largest at the top", () => {
  expect(sparkline([0, 5, 10], WIDTH, 20)).toBe(`M${WIDTH - 2} 20L${WIDTH - 1} 10L${WIDTH} 0`);
});

test("a gap breaks the line", () => {
  expect(sparkline([1, null, 1], WIDTH, 10)).toBe(`M${WIDTH - 2} 0M${WIDTH} 0`);
});

test("zeros are a line at the bottom", () => {
  expect(sparkline([0, 0], WIDTH, 10)).toBe(`M${WIDTH - 1} 10L${WIDTH} 10`);
});

import { expect, test } from "vitest";
import { bars, totalOf } from "../src/histogram";
import type { DeadLetterCounts } from "../src/types";

const HOURS = ["2026-11-28T10:00:00Z", "2026-11-28T11:00:00Z", "2026-11-28T12:00:00Z"] as const;

function counts(more: Partial<DeadLetterCounts> = {}): DeadLetterCounts {
  return {
    since: HOURS[0],
    until: "2026-11-28T12:30:00Z",
    bucket_seconds: 3600,
    complete: true,
    counted_since: HOURS[0],
    counts: { invalid: 4, rejected: 1 },
    buckets: [
      { start: HOURS[0], counts: { invalid: 3, rejected: 1 } },
      { start: HOURS[1], counts: {} },
      { start: HOURS[2], counts: { invalid: 1 } },
    ],
    ...more,
  };
}

test("reasons are stacked, in proportion to the highest bar", () => {
  const [first, second, third] = bars(counts());
  expect(first?.segments).toEqual([
    { reason: "invalid", from: 0, to: 0.75 },
    { reason: "rejected", from: 0.75, to: 1 },
  ]);
  expect(second?.segments).toEqual([]);
  expect(third?.segments).toEqual([{ reason: "invalid", from: 0, to: 0.25 }]);
});

test("a bucket that was not read whole is a gap, not zero", () => {
  const known = bars(counts({ complete: false, counted_since: HOURS[1] })).map(({ isKnown }) => isKnown);
  expect(known).toEqual([false, true, true]);
});

test("without dead letters no bar has a height", () => {
  const buckets = [{ start: HOURS[0], counts: {} }];
  expect(bars(counts({ buckets }))[0]?.segments).toEqual([]);
  expect(totalOf({})).toBe(0);
});

import { expect, test } from "vitest";
import { aboveThreshold, partitionRows, ranges } from "../src/consumer-group";
import { STATS } from "./stats";

const PARTITIONS = [
  { partition: 0, messages: 0, seconds: 0 },
  { partition: 1, messages: 5, seconds: 1.5 },
];
const MEMBERS = [
  { client_id: "orders-a", partitions: [1] },
  { client_id: "orders-b", partitions: [] },
];

test("a partition has the member that owns it, or none", () => {
  const consumers = { is_running: true, since: "2026-03-01T12:00:00Z", members: MEMBERS };
  expect(partitionRows({ ...STATS, partitions: PARTITIONS, consumers })).toEqual([
    { partition: 0, messages: 0, seconds: 0, owners: [] },
    { partition: 1, messages: 5, seconds: 1.5, owners: ["orders-a"] },
  ]);
});

test("owners are unknown if the members are, and rows if the lag is", () => {
  const rows = partitionRows({ ...STATS, partitions: PARTITIONS, consumers: null });
  expect(rows?.map((row) => row.owners)).toEqual([null, null]);
  expect(partitionRows({ ...STATS, partitions: null })).toBeNull();
});

test("only a value above its threshold is marked", () => {
  expect(aboveThreshold(51, 50)).toBe("above the alert threshold of 50");
  expect(aboveThreshold(1, 0)).toBe("above the alert threshold of 0");
  for (const [value, threshold] of [[50, 50], [null, 50], [51, null]] as const) {
    expect(aboveThreshold(value, threshold)).toBe("");
  }
});

test("consecutive partitions are abbreviated", () => {
  expect(ranges([0, 1, 2, 5, 7, 8])).toBe("0–2, 5, 7–8");
  expect(ranges([])).toBe("");
});

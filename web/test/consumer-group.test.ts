import { expect, test } from "vitest";
import { aboveThreshold, ownedText, partitionRows, ranges } from "../src/consumer-group";
import { STATS } from "./stats";

const PARTITIONS = [
  { topic: "orders", partition: 0, messages: 0, seconds: 0 },
  { topic: "orders", partition: 1, messages: 5, seconds: 1.5 },
];
const MEMBERS = [
  { client_id: "orders-a", topics: [{ topic: "orders", partitions: [1] }] },
  { client_id: "orders-b", topics: [] },
];

test("a partition has the member that owns it, or none", () => {
  const consumers = { is_running: true, since: "2026-03-01T12:00:00Z", members: MEMBERS };
  expect(partitionRows({ ...STATS, partitions: PARTITIONS, consumers })).toEqual([
    { topic: "orders", partition: 0, name: "0", messages: 0, seconds: 0, owners: [] },
    { topic: "orders", partition: 1, name: "1", messages: 5, seconds: 1.5, owners: ["orders-a"] },
  ]);
});

test("partitions of the same number in two topics are told apart", () => {
  const partitions = ["orders.eu", "orders.us"].map((topic) => ({ topic, partition: 1, messages: 0, seconds: 0 }));
  const members = [{ client_id: "orders-a", topics: [{ topic: "orders.us", partitions: [1] }] }];
  const consumers = { is_running: true, since: "2026-03-01T12:00:00Z", members };
  const rows = partitionRows({ ...STATS, partitions, consumers });
  expect(rows?.map(({ name, owners }) => [name, owners])).toEqual([
    ["orders.eu-1", []],
    ["orders.us-1", ["orders-a"]],
  ]);
});

test("what a member owns is listed by topic if there are several", () => {
  const one = { topic: "orders.eu", partitions: [0, 1, 3] };
  expect(ownedText([])).toBe("");
  expect(ownedText([one])).toBe("0–1, 3");
  expect(ownedText([one, { topic: "orders.us", partitions: [2] }])).toBe("orders.eu: 0–1, 3; orders.us: 2");
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

import { expect, test } from "vitest";
import { clockTime, localTime } from "../src/format";
import { outages, silence } from "../src/outages";
import type { Stats } from "../src/types";
import { refusal } from "./refusals";
import { fresh, STATS } from "./stats";

const NOW = new Date("2026-03-01T12:30:00Z");
const THEN = new Date("2026-03-01T12:03:10Z");

function down(...names: (keyof Stats["dependencies"])[]) {
  const state = (isUp: boolean) => ({ is_up: isUp, since: THEN.toISOString() });
  const dependencies = { postgresql: state(true), notifications: state(true), kafka: state(true) };
  for (const name of names) dependencies[name] = state(false);
  return fresh({ ...STATS, dependencies });
}

test("while all servers are reached, or none was asked, nothing is said", () => {
  for (const stats of [down(), fresh(STATS)]) {
    expect(outages(stats, NOW)).toEqual([]);
    expect(silence(stats)).toBe("");
  }
});

test("without PostgreSQL cached orders are served, and its notifications are not named besides", () => {
  const stats = down("postgresql", "notifications");
  expect(outages(stats, NOW)).toEqual([
    `PostgreSQL has been unreachable since ${clockTime(THEN)}: ` +
      "cached orders are still served, all others are refused for now; new orders wait in Kafka.",
  ]);
  expect(silence(stats)).toBe("PostgreSQL is unreachable");
});

test("without Kafka stored orders are served", () => {
  expect(outages(down("kafka"), NOW)[0]).toMatch(/^Kafka has been unreachable since .*: stored orders are still served/);
  expect(silence(down("kafka"))).toBe("Kafka is unreachable");
});

test("without notifications the live feed stands still", () => {
  expect(outages(down("notifications"), NOW)[0]).toMatch(/^Notifications .*; the live feed stands still\.$/);
  expect(silence(down("notifications"))).toBe("notifications of PostgreSQL don't arrive");
});

test("all that is unreachable is named", () => {
  expect(outages(down("postgresql", "kafka"), NOW)).toHaveLength(2);
});

test("an outage that began on another day has its date", () => {
  const later = new Date(NOW.getTime() + 86_400_000);
  expect(outages(down("kafka"), later)[0]).toContain(`since ${localTime(THEN)}:`);
});

test("a service that does not answer is said, whatever it told before", () => {
  const gone = { value: down("kafka").value, refusal: refusal(0) };
  expect(outages(gone, NOW)).toEqual(["The service can't be reached. The figures are old."]);
});

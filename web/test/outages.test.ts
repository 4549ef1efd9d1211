import { expect, test } from "vitest";
import { clockTime, localTime } from "../src/format";
import { outageMessages, noEventsReason } from "../src/outages";
import type { Stats } from "../src/types";
import { failure } from "./failures";
import { fresh, STATS } from "./stats";

const NOW = new Date("2026-03-01T12:30:00Z");
const THEN = new Date("2026-03-01T12:03:10Z");

function down(...names: (keyof Stats["dependencies"])[]) {
  const state = (isUp: boolean) => ({ is_up: isUp, since: THEN.toISOString() });
  const dependencies = { postgresql: state(true), notifications: state(true), kafka: state(true) };
  for (const name of names) dependencies[name] = state(false);
  return fresh({ ...STATS, dependencies });
}

test("there is no message while all servers are reachable or not yet checked", () => {
  for (const stats of [down(), fresh(STATS)]) {
    expect(outageMessages(stats, NOW)).toEqual([]);
    expect(noEventsReason(stats)).toBe("");
  }
});

test("an outage of PostgreSQL is one message, without its notifications", () => {
  const stats = down("postgresql", "notifications");
  expect(outageMessages(stats, NOW)).toEqual([
    `PostgreSQL has been unreachable since ${clockTime(THEN)}: ` +
      "only cached orders are served; new orders wait in Kafka.",
  ]);
  expect(noEventsReason(stats)).toBe("PostgreSQL is unreachable");
});

test("without Kafka stored orders are served", () => {
  expect(outageMessages(down("kafka"), NOW)[0]).toMatch(/^Kafka has been unreachable since .*: stored orders are served/);
  expect(noEventsReason(down("kafka"))).toBe("Kafka is unreachable");
});

test("without notifications the live feed is not updated", () => {
  expect(outageMessages(down("notifications"), NOW)[0]).toMatch(/^No notifications .*, but the live feed is not updated\.$/);
  expect(noEventsReason(down("notifications"))).toBe("no notifications from PostgreSQL");
});

test("without a consumer new orders wait", () => {
  const consumers = { is_running: false, since: THEN.toISOString(), members: [] };
  const stopped = fresh({ ...STATS, consumers });
  expect(outageMessages(stopped, NOW)).toEqual([
    `No consumer has been running since ${clockTime(THEN)}: stored orders are served, but new ones wait in Kafka.`,
  ]);
  expect(outageMessages(fresh({ ...STATS, consumers: { ...consumers, is_running: true } }), NOW)).toEqual([]);
});

test("each outage has a message", () => {
  expect(outageMessages(down("postgresql", "kafka"), NOW)).toHaveLength(2);
});

test("an outage since another day has the date", () => {
  const later = new Date(NOW.getTime() + 86_400_000);
  expect(outageMessages(down("kafka"), later)[0]).toContain(`since ${localTime(THEN)}:`);
});

test("an unreachable service replaces its last outages", () => {
  const unreachable = { value: down("kafka").value, failure: failure(0) };
  expect(outageMessages(unreachable, NOW)).toEqual(["Cannot reach the service. The figures are out of date; the page reconnects automatically."]);
});

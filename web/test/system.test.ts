import { expect, test } from "vitest";
import { figures, type Polled } from "../src/system";
import type { Readiness, Stats } from "../src/types";
import { failure } from "./failures";
import { fresh, STATS } from "./stats";

const READY: Readiness = { isReady: true, checks: { database: true } };

function shown(stats: Polled<Stats>, readiness: Polled<Readiness> = fresh(READY)): Record<string, string> {
  return Object.fromEntries(figures(stats, readiness).map(({ name, text }) => [name, text]));
}

function explanationOf(name: string, stats: Polled<Stats>, readiness: Polled<Readiness> = fresh(READY)): string | undefined {
  return figures(stats, readiness).find((figure) => figure.name === name)?.explanation;
}

test("every figure is shown", () => {
  expect(shown(fresh(STATS))).toEqual({
    "Stored/s": "4.5",
    "Stored in total": "12",
    Lag: "0",
    "Dead letters": "2",
    "Cache hit ratio": "75%",
    "Warm-up": "done",
    Readiness: "ready",
  });
});

test("an unknown figure has an explanation", () => {
  const unreachable = fresh({ ...STATS, stored: null, lag: null, cache: { ...STATS.cache, hit_ratio: null } });
  expect(shown(unreachable)).toMatchObject({ "Stored in total": "–", Lag: "–", "Cache hit ratio": "–" });
  expect(explanationOf("Stored in total", unreachable)).toBe("PostgreSQL is unreachable");
  expect(explanationOf("Lag", unreachable)).toBe("Kafka is unreachable");
  expect(explanationOf("Cache hit ratio", unreachable)).toBe("No lookups yet");
});

test("an estimate is marked", () => {
  const many = fresh({ ...STATS, stored: 1_234_567, stored_is_estimate: true });
  expect(shown(many)).toMatchObject({ "Stored in total": "≈ 1,234,567" });
  expect(explanationOf("Stored in total", many)).toBe("Estimate from PostgreSQL's statistics");
});

test("without notifications there is no rate", () => {
  const noNotifications = fresh({ ...STATS, stored_per_second: null });
  expect(shown(noNotifications)).toMatchObject({ "Stored/s": "–" });
  expect(explanationOf("Stored/s", noNotifications)).toBe("No notifications from PostgreSQL");
});

test("a figure that could not be refreshed is stale, with the reason", () => {
  const stale = figures({ value: STATS, failure: failure(0) }, fresh(READY));
  expect(stale.map(({ isStale }) => isStale)).toEqual([true, true, true, true, true, true, false]);
  expect(stale[0]?.explanation).toBe("Cannot reach the service.");
});

test("before the first response figures are empty, not stale", () => {
  const none = { value: null, failure: null };
  expect(figures(none, none).every(({ text, isStale }) => text === "–" && !isStale)).toBe(true);
});

test("failed checks are listed, even while the service is ready", () => {
  const checks = { database: false, "warm-up": true };
  expect(shown(fresh(STATS), fresh({ isReady: false, checks })).Readiness).toBe("not ready");
  const limited = fresh({ isReady: true, checks });
  expect(shown(fresh(STATS), limited).Readiness).toBe("ready, but limited");
  expect(explanationOf("Readiness", fresh(STATS), limited)).toBe("Failed checks: database");
});

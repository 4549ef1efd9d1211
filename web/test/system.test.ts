import { expect, test } from "vitest";
import { figures, type Polled } from "../src/system";
import type { Readiness, Stats } from "../src/types";
import { refusal } from "./refusals";
import { fresh, STATS } from "./stats";

const READY: Readiness = { isReady: true, parts: { database: true } };

function shown(stats: Polled<Stats>, readiness: Polled<Readiness> = fresh(READY)): Record<string, string> {
  return Object.fromEntries(figures(stats, readiness).map(({ name, text }) => [name, text]));
}

function whyOf(name: string, stats: Polled<Stats>, readiness: Polled<Readiness> = fresh(READY)): string | undefined {
  return figures(stats, readiness).find((figure) => figure.name === name)?.why;
}

test("every figure is shown", () => {
  expect(shown(fresh(STATS))).toEqual({
    "Stored/s": "4.5",
    "Stored in all": "12",
    Lag: "0",
    "Dead letters": "2",
    "Cache hit ratio": "75%",
    "Warm-up": "done",
    Readiness: "ready",
  });
});

test("a figure that the service does not know says why", () => {
  const away = fresh({ ...STATS, stored: null, lag: null, cache: { ...STATS.cache, hit_ratio: null } });
  expect(shown(away)).toMatchObject({ "Stored in all": "–", Lag: "–", "Cache hit ratio": "–" });
  expect(whyOf("Stored in all", away)).toBe("PostgreSQL is unreachable");
  expect(whyOf("Lag", away)).toBe("Kafka is unreachable");
  expect(whyOf("Cache hit ratio", away)).toBe("Nothing was looked up yet");
});

test("an estimate is marked as one", () => {
  const many = fresh({ ...STATS, stored: 1_234_567, stored_is_estimate: true });
  expect(shown(many)).toMatchObject({ "Stored in all": "≈ 1,234,567" });
  expect(whyOf("Stored in all", many)).toBe("Estimated by PostgreSQL's statistics");
});

test("without notifications there is no rate", () => {
  const deaf = fresh({ ...STATS, stored_per_second: null });
  expect(shown(deaf)).toMatchObject({ "Stored/s": "–" });
  expect(whyOf("Stored/s", deaf)).toBe("Notifications don't arrive");
});

test("a figure that could not be refreshed is stale, and says why", () => {
  const stale = figures({ value: STATS, refusal: refusal(0) }, fresh(READY));
  expect(stale.map(({ isStale }) => isStale)).toEqual([true, true, true, true, true, true, false]);
  expect(stale[0]?.why).toBe("The service can't be reached.");
});

test("before the first answer there is nothing, and nothing is stale", () => {
  const none = { value: null, refusal: null };
  expect(figures(none, none).every(({ text, isStale }) => text === "–" && !isStale)).toBe(true);
});

test("the parts that are not well are named, even while the service is ready", () => {
  const parts = { database: false, "warm-up": true };
  expect(shown(fresh(STATS), fresh({ isReady: false, parts })).Readiness).toBe("not ready");
  const limited = fresh({ isReady: true, parts });
  expect(shown(fresh(STATS), limited).Readiness).toBe("ready, but limited");
  expect(whyOf("Readiness", fresh(STATS), limited)).toBe("Not well: database");
});

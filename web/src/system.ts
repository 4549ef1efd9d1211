import type { Failure } from "./api";
import { NO_VALUE, percent, rate, integer } from "./format";
import { STATISTICS, failureMessage } from "./messages";
import type { Readiness, Stats } from "./types";

/** The last value of a polled resource, and the failure of the last attempt, if it failed. */
export interface Polled<T> {
  value: T | null;
  failure: Failure | null;
}

export interface Figure {
  name: string;
  text: string;
  /** Explains the text, or why there is no value. */
  explanation: string;
  isStale: boolean;
}

/** The explanation may be "". */
type FigureText = [text: string, explanation: string];

export function figures(stats: Polled<Stats>, readiness: Polled<Readiness>): Figure[] {
  return [
    figure("Stored/s", stats, (now) =>
      now.stored_per_second === null
        ? [NO_VALUE, "No notifications from PostgreSQL"]
        : [rate(now.stored_per_second), "Average over ten seconds"],
    ),
    figure("Stored in total", stats, stored),
    figure("Lag", stats, (now) => count(now.lag, "Kafka is unreachable")),
    figure("Dead letters", stats, (now) => count(now.dead_letters, "Kafka is unreachable")),
    figure("Cache hit ratio", stats, ({ cache }) =>
      cache.hit_ratio === null ? [NO_VALUE, "No lookups yet"] : [percent(cache.hit_ratio), ""],
    ),
    figure("Warm-up", stats, warmUp),
    figure("Readiness", readiness, ready),
  ];
}

function figure<T>(name: string, { value, failure }: Polled<T>, show: (value: T) => FigureText): Figure {
  const problem = failure ? failureMessage(failure, STATISTICS) : "";
  if (value === null) return { name, text: NO_VALUE, explanation: problem || "No response yet", isStale: false };
  const [text, explanation] = show(value);
  return { name, text, explanation: problem || explanation, isStale: failure !== null };
}

function stored({ stored, stored_is_estimate }: Stats): FigureText {
  if (stored === null) return [NO_VALUE, "PostgreSQL is unreachable"];
  return stored_is_estimate ? [`≈ ${integer(stored)}`, "Estimate from PostgreSQL's statistics"] : [integer(stored), ""];
}

function count(value: number | null, whyUnknown: string): FigureText {
  return value === null ? [NO_VALUE, whyUnknown] : [integer(value), ""];
}

function warmUp({ warm_up }: Stats): FigureText {
  const orders = `${integer(warm_up.orders)} orders`;
  if (!warm_up.is_over) return ["running", `${orders} so far`];
  return ["done", warm_up.seconds === null ? orders : `${orders} in ${rate(warm_up.seconds)} s`];
}

function ready({ isReady, checks }: Readiness): FigureText {
  const failed = Object.keys(checks).filter((name) => !checks[name]);
  const explanation = failed.length > 0 ? `Failed checks: ${failed.join(", ")}` : "All checks pass";
  if (!isReady) return ["not ready", explanation];
  return [failed.length > 0 ? "ready, but limited" : "ready", explanation];
}

import type { Refusal } from "./api";
import { NOTHING, percent, rate, whole } from "./format";
import { FIGURES, reason } from "./sentences";
import type { Readiness, Stats } from "./types";

/** The last value of something that is asked for again and again, and why it could not be refreshed. */
export interface Polled<T> {
  value: T | null;
  refusal: Refusal | null;
}

export interface Figure {
  name: string;
  text: string;
  /** Explains the text, or why there is none. */
  why: string;
  isStale: boolean;
}

/** What a figure shows of a value: its text, and an explanation or "". */
type Shown = [text: string, why: string];

export function figures(stats: Polled<Stats>, readiness: Polled<Readiness>): Figure[] {
  return [
    figure("Stored/s", stats, (now) =>
      now.stored_per_second === null
        ? [NOTHING, "Notifications don't arrive"]
        : [rate(now.stored_per_second), "Mean of ten seconds"],
    ),
    figure("Stored in all", stats, stored),
    figure("Lag", stats, (now) => known(now.lag, "Kafka is unreachable")),
    figure("Dead letters", stats, (now) => known(now.dead_letters, "Kafka is unreachable")),
    figure("Cache hit ratio", stats, ({ cache }) =>
      cache.hit_ratio === null ? [NOTHING, "Nothing was looked up yet"] : [percent(cache.hit_ratio), ""],
    ),
    figure("Warm-up", stats, warmUp),
    figure("Readiness", readiness, ready),
  ];
}

function figure<T>(name: string, { value, refusal }: Polled<T>, show: (value: T) => Shown): Figure {
  const failure = refusal ? reason(refusal, FIGURES) : "";
  if (value === null) return { name, text: NOTHING, why: failure || "Not answered yet", isStale: false };
  const [text, why] = show(value);
  return { name, text, why: failure || why, isStale: refusal !== null };
}

function stored({ stored, stored_is_estimate }: Stats): Shown {
  if (stored === null) return [NOTHING, "PostgreSQL is unreachable"];
  return stored_is_estimate ? [`≈ ${whole(stored)}`, "Estimated by PostgreSQL's statistics"] : [whole(stored), ""];
}

function known(value: number | null, why: string): Shown {
  return value === null ? [NOTHING, why] : [whole(value), ""];
}

function warmUp({ warm_up }: Stats): Shown {
  const orders = `${whole(warm_up.orders)} orders`;
  if (!warm_up.is_over) return ["running", `${orders} so far`];
  return ["done", warm_up.seconds === null ? orders : `${orders} in ${rate(warm_up.seconds)} s`];
}

function ready({ isReady, parts }: Readiness): Shown {
  const unwell = Object.keys(parts).filter((name) => !parts[name]);
  const why = unwell.length > 0 ? `Not well: ${unwell.join(", ")}` : "All parts are well";
  if (!isReady) return ["not ready", why];
  return [unwell.length > 0 ? "ready, but limited" : "ready", why];
}

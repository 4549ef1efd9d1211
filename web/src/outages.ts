import { shortTime } from "./format";
import type { Polled } from "./system";
import type { Stats } from "./types";

type Dependency = Stats["dependencies"]["kafka"];

/** Return a sentence for each outage: since when, what still works, and what does not. */
export function outageMessages({ value, failure }: Polled<Stats>, now: Date): string[] {
  if (failure?.status === 0) return ["Cannot reach the service. The figures are out of date; the page reconnects automatically."];
  if (!value) return [];
  const { postgresql, notifications, kafka } = value.dependencies;
  const { consumers } = value;
  const lines: string[] = [];
  if (isDown(postgresql)) {
    lines.push(
      `PostgreSQL has been unreachable since ${since(postgresql, now)}: ` +
        "only cached orders are served; new orders wait in Kafka.",
    );
  } else if (isDown(notifications)) {
    lines.push(
      `No notifications from PostgreSQL since ${since(notifications, now)}: ` +
        "orders are stored and served, but the live feed is not updated.",
    );
  }
  if (isDown(kafka)) {
    lines.push(
      `Kafka has been unreachable since ${since(kafka, now)}: ` +
        "stored orders are served, but no new ones arrive; lag and dead letters are unknown.",
    );
  }
  if (consumers && !consumers.is_running) {
    lines.push(
      `No consumer has been running since ${since(consumers, now)}: stored orders are served, but new ones wait in Kafka.`,
    );
  }
  return lines;
}

/** Return why no events arrive although the stream is open, or "". */
export function noEventsReason({ value }: Polled<Stats>): string {
  if (!value) return "";
  const { postgresql, notifications, kafka } = value.dependencies;
  if (isDown(postgresql)) return "PostgreSQL is unreachable";
  if (isDown(notifications)) return "no notifications from PostgreSQL";
  return isDown(kafka) ? "Kafka is unreachable" : "";
}

function isDown(dependency: Dependency): dependency is NonNullable<Dependency> {
  return dependency !== null && !dependency.is_up;
}

function since(state: { since: string }, now: Date): string {
  return shortTime(new Date(state.since), now);
}

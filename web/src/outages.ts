import { shortTime } from "./format";
import { FIGURES, reason } from "./sentences";
import type { Polled } from "./system";
import type { Stats } from "./types";

type Dependency = Stats["dependencies"]["kafka"];

/** Say of each server that is not reached since when, what still works and what does not. */
export function outages({ value, refusal }: Polled<Stats>, now: Date): string[] {
  if (refusal?.status === 0) return [`${reason(refusal, FIGURES)} The figures are old.`];
  if (!value) return [];
  const { postgresql, notifications, kafka } = value.dependencies;
  const lines: string[] = [];
  if (isDown(postgresql)) {
    lines.push(
      `PostgreSQL has been unreachable since ${since(postgresql, now)}: ` +
        "cached orders are still served, all others are refused for now; new orders wait in Kafka.",
    );
  } else if (isDown(notifications)) {
    lines.push(
      `Notifications of PostgreSQL have not arrived since ${since(notifications, now)}: ` +
        "orders are still stored and served; the live feed stands still.",
    );
  }
  if (isDown(kafka)) {
    lines.push(
      `Kafka has been unreachable since ${since(kafka, now)}: ` +
        "stored orders are still served; no new ones arrive; lag and dead letters are not known.",
    );
  }
  return lines;
}

/** Why no event comes although the stream is open, or "". */
export function silence({ value }: Polled<Stats>): string {
  if (!value) return "";
  const { postgresql, notifications, kafka } = value.dependencies;
  if (isDown(postgresql)) return "PostgreSQL is unreachable";
  if (isDown(notifications)) return "notifications of PostgreSQL don't arrive";
  return isDown(kafka) ? "Kafka is unreachable" : "";
}

function isDown(dependency: Dependency): dependency is NonNullable<Dependency> {
  return dependency !== null && !dependency.is_up;
}

function since(dependency: NonNullable<Dependency>, now: Date): string {
  return shortTime(new Date(dependency.since), now);
}

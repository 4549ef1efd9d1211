import { partitionKey } from "./consumer-group";
import type { Polled } from "./system";
import type { Stats } from "./types";

/** A value of each figure at one time. Null where it is unknown. */
export interface Sample {
  at: number;
  storedPerSecond: number | null;
  lag: number | null;
  deadLetters: number | null;
  hitRatio: number | null;
  /** Lag in messages by partition, in Kafka's notation. */
  partitions: ReadonlyMap<string, number>;
}

export type SeriesName = Exclude<keyof Sample, "at" | "partitions">;

/** Ten minutes at an interval of two seconds. */
export const MAX_SAMPLES = 300;

/** Append a sample. A failed request is a gap. */
export function withSample(samples: readonly Sample[], { value, failure }: Polled<Stats>, now: number): Sample[] {
  const stats = failure ? null : value;
  const sample: Sample = {
    at: now,
    storedPerSecond: stats?.stored_per_second ?? null,
    lag: stats?.lag ?? null,
    deadLetters: stats?.dead_letters ?? null,
    hitRatio: stats?.cache.hit_ratio ?? null,
    partitions: new Map(stats?.partitions?.map((lag) => [partitionKey(lag), lag.messages])),
  };
  return [...samples.slice(1 - MAX_SAMPLES), sample];
}

export function partitionValues(samples: readonly Sample[], partition: string): (number | null)[] {
  return samples.map((sample) => sample.partitions.get(partition) ?? null);
}

/** Return an SVG path through the values, scaled to the size, with breaks at gaps. */
export function sparkline(values: readonly (number | null)[], width: number, height: number): string {
  const max = Math.max(Number.MIN_VALUE, ...values.map((value) => value ?? 0));
  const step = width / (MAX_SAMPLES - 1);
  const first = MAX_SAMPLES - values.length;
  let isConnected = false;
  return values
    .flatMap((value, position) => {
      const command = isConnected ? "L" : "M";
      isConnected = value !== null;
      if (value === null) return [];
      return `${command}${round((first + position) * step)} ${round(height - (value / max) * height)}`;
    })
    .join("");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

import type { Polled } from "../src/system";
import type { Stats } from "../src/types";

export const STATS: Stats = {
  cache: { entries: 1, bytes: 1, hits: 3, misses: 1, hit_ratio: 0.75 },
  warm_up: { is_over: true, orders: 7, seconds: 0.5 },
  stored: 12,
  stored_is_estimate: false,
  stored_per_second: 4.5,
  event_clients: 1,
  lag: 0,
  dead_letters: 2,
  dependencies: { postgresql: null, notifications: null, kafka: null },
};

export function fresh<T>(value: T): Polled<T> {
  return { value, failure: null };
}

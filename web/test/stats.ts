import type { Polled } from "../src/system";
import type { Stats } from "../src/types";

export const STATS: Stats = {
  process: {
    version: "0.1.0",
    commit: null,
    thresholds: { lag: null, waiting_reads: null },
    links: { metrics: null, grafana: null, kafka_ui: null, runbooks: null },
  },
  cache: { entries: 1, bytes: 1, hits: 3, misses: 1, hit_ratio: 0.75 },
  warm_up: { is_over: true, orders: 7, seconds: 0.5 },
  stored: 12,
  stored_is_estimate: false,
  stored_per_second: 4.5,
  event_clients: 1,
  pool: { max_size: 8, size: 1, in_use: 0, waiting: 0 },
  lag: 0,
  partitions: [],
  consumers: null,
  dead_letters: 2,
  dependencies: { postgresql: null, notifications: null, kafka: null },
};

export function fresh<T>(value: T): Polled<T> {
  return { value, failure: null };
}

import type { DeadLetter } from "../src/types";

export function deadLetter(more: Partial<DeadLetter> = {}): DeadLetter {
  return {
    partition: 0,
    offset: 12,
    timestamp: "2026-11-25T10:00:00.123Z",
    reason: "invalid",
    detail: "",
    failed_at: "2026-11-25T10:00:00Z",
    attempts: "1",
    replays: 0,
    is_stub: false,
    original: null,
    key: null,
    value: null,
    size: 0,
    ...more,
  };
}

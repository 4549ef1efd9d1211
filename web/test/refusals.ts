import type { Refusal } from "../src/api";

export function refusal(status: number, more: Partial<Refusal> = {}): Refusal {
  return { ok: false, status, title: "", detail: "", requestId: "", retryAfter: 0, body: null, ...more };
}

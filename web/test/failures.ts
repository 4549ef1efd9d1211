import type { Failure } from "../src/api";

export function failure(status: number, more: Partial<Failure> = {}): Failure {
  return { ok: false, status, type: "", title: "", detail: "", requestId: "", retryAfter: 0, body: null, ...more };
}

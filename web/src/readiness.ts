import type { Api, Failure, Result, Success } from "./api";
import type { Readiness } from "./types";

/** A 503 that lists the checks is a success too. */
export async function readReadiness(api: Api, signal: AbortSignal): Promise<Result<Readiness>> {
  const result = await api.get<{ parts: Readiness["checks"] }>("readyz?verbose", signal);
  return result.ok ? withChecks(result, result.body.parts) : fromFailure(result);
}

function withChecks(response: Success<unknown>, checks: Readiness["checks"]): Success<Readiness> {
  return { ...response, body: { isReady: true, checks } };
}

function fromFailure(failure: Failure): Result<Readiness> {
  const { parts: checks } = (failure.body ?? {}) as { parts?: Readiness["checks"] };
  if (!checks) return failure;
  return { ok: true, body: { isReady: false, checks }, text: "", headers: new Headers(), milliseconds: 0 };
}

import type { JSX } from "preact";
import { useCallback } from "preact/hooks";
import type { Api, Success, Failure, Result } from "../api";
import { useApi } from "../context";
import { usePolled } from "../hooks";
import { figures, type Figure, type Polled } from "../system";
import type { Readiness, Stats } from "../types";

const READINESS_INTERVAL_MS = 5_000;

export function SystemStrip({ stats }: { stats: Polled<Stats> }): JSX.Element {
  const api = useApi();
  const readiness = usePolled(
    useCallback((signal: AbortSignal) => readReadiness(api, signal), [api]),
    READINESS_INTERVAL_MS,
  );
  return (
    <dl class="strip" aria-label="System">
      {figures(stats, readiness).map((figure) => (
        <FigureItem key={figure.name} {...figure} />
      ))}
    </dl>
  );
}

function FigureItem({ name, text, explanation, isStale }: Figure): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd title={explanation} class={isStale ? "stale" : ""}>
        {text}
        {explanation && <span class="visually-hidden"> ({explanation})</span>}
        {isStale && <span class="mark">stale</span>}
      </dd>
    </div>
  );
}

/** A 503 that lists the checks is a success too. */
async function readReadiness(api: Api, signal: AbortSignal): Promise<Result<Readiness>> {
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

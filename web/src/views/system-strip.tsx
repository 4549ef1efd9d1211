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
  const result = await api.get<Pick<Readiness, "parts">>("readyz?verbose", signal);
  return result.ok ? withParts(result, result.body.parts) : fromRefusal(result);
}

function withParts(response: Success<unknown>, parts: Readiness["parts"]): Success<Readiness> {
  return { ...response, body: { isReady: true, parts } };
}

function fromRefusal(failure: Failure): Result<Readiness> {
  const { parts } = (failure.body ?? {}) as Partial<Readiness>;
  if (!parts) return failure;
  return { ok: true, body: { isReady: false, parts }, text: "", headers: new Headers(), milliseconds: 0 };
}

import type { JSX } from "preact";
import { useCallback } from "preact/hooks";
import type { Api, Answer, Refusal, Result } from "../api";
import { useApi } from "../context";
import { usePolled } from "../hooks";
import { figures, type Figure, type Polled } from "../system";
import type { Readiness, Stats } from "../types";

const READINESS_MS = 5_000;

export function SystemStrip({ stats }: { stats: Polled<Stats> }): JSX.Element {
  const api = useApi();
  const readiness = usePolled(
    useCallback((signal: AbortSignal) => readReadiness(api, signal), [api]),
    READINESS_MS,
  );
  return (
    <dl class="strip" aria-label="System">
      {figures(stats, readiness).map((figure) => (
        <FigureItem key={figure.name} {...figure} />
      ))}
    </dl>
  );
}

function FigureItem({ name, text, why, isStale }: Figure): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd title={why} class={isStale ? "stale" : ""}>
        {text}
        {why && <span class="visually-hidden"> ({why})</span>}
        {isStale && <span class="mark">stale</span>}
      </dd>
    </div>
  );
}

/** A 503 that lists parts is an answer too. */
async function readReadiness(api: Api, signal: AbortSignal): Promise<Result<Readiness>> {
  const result = await api.get<Pick<Readiness, "parts">>("readyz?verbose", signal);
  return result.ok ? withParts(result, result.body.parts) : fromRefusal(result);
}

function withParts(answer: Answer<unknown>, parts: Readiness["parts"]): Answer<Readiness> {
  return { ...answer, body: { isReady: true, parts } };
}

function fromRefusal(refusal: Refusal): Result<Readiness> {
  const { parts } = (refusal.body ?? {}) as Partial<Readiness>;
  if (!parts) return refusal;
  return { ok: true, body: { isReady: false, parts }, text: "", headers: new Headers(), milliseconds: 0 };
}

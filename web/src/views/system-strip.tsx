import type { JSX } from "preact";
import { useReadiness } from "../hooks";
import { figures, type Figure, type Polled } from "../system";
import type { Stats } from "../types";

export function SystemStrip({ stats }: { stats: Polled<Stats> }): JSX.Element {
  const readiness = useReadiness();
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

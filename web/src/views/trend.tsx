import type { JSX } from "preact";
import { aboveThreshold } from "../consumer-group";
import { NO_VALUE, integer } from "../format";
import { sparkline } from "../history";

const WIDTH = 300;
const HEIGHT = 40;

export interface Series {
  title: string;
  meaning: string;
  show: (value: number) => string;
  /** Null if no alert has one. */
  threshold: number | null;
}

type Values = readonly (number | null)[];

export function Trend({ title, meaning, show, threshold, values }: Series & { values: Values }): JSX.Element {
  const known = values.filter((value) => value !== null);
  const now = values.at(-1) ?? null;
  return (
    <li>
      <h3>{title}</h3>
      <p>
        <span class="value">{now === null ? NO_VALUE : show(now)}</span>
        <Mark text={aboveThreshold(now, threshold)} />
      </p>
      <Sparkline values={values} />
      <p class="hint">
        {known.length > 0 && `${show(Math.min(...known))} to ${show(Math.max(...known))}. `}
        {meaning}.{threshold !== null && ` Alert threshold: ${integer(threshold)}.`}
      </p>
    </li>
  );
}

export function Sparkline({ values }: { values: Values }): JSX.Element {
  return (
    <svg class="sparkline" viewBox={`-1 -1 ${WIDTH + 2} ${HEIGHT + 2}`} preserveAspectRatio="none" aria-hidden="true">
      <path d={sparkline(values, WIDTH, HEIGHT)} />
    </svg>
  );
}

/** Marks a value by a sign and a text, not only by color. Renders nothing without a text. */
export function Mark({ text }: { text: string }): JSX.Element | null {
  if (!text) return null;
  return (
    <span class="mark bad">
      <span aria-hidden="true">▲ </span>
      {text}
    </span>
  );
}

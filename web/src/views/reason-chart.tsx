import type { JSX } from "preact";
import { useCallback } from "preact/hooks";
import { withQuery } from "../api";
import { useApi } from "../context";
import { fromIso, integer, shortTime } from "../format";
import { COUNTED_REASONS, bars, totalOf, type Bar } from "../histogram";
import { usePolled } from "../hooks";
import type { DeadLetterCounts } from "../types";

const INTERVAL_MS = 10_000;
const HEIGHT = 48;
const BAR_WIDTH = 10;
const DEFAULT_SINCE = "24h";

interface ChartProps {
  since: string;
  reason: string;
  onChoose: (reason: string) => void;
}

/** Dead letters by reason over time. Its legend has the same numbers, and filters by reason. */
export function ReasonChart({ since, reason, onChoose }: ChartProps): JSX.Element | null {
  const api = useApi();
  const load = useCallback(
    (signal: AbortSignal) => api.get<DeadLetterCounts>(withQuery("dead-letters/counts", { since: since || DEFAULT_SINCE }), signal),
    [api, since],
  );
  const { value } = usePolled(load, INTERVAL_MS);
  if (!value) return null;
  return (
    <figure class="reasons">
      <Plot all={bars(value)} />
      <figcaption class="chips">
        {COUNTED_REASONS.filter((each) => (value.counts[each] ?? 0) > 0).map((each) => (
          <button
            key={each}
            type="button"
            aria-pressed={each === reason}
            disabled={each === "unknown"}
            onClick={() => onChoose(each === reason ? "" : each)}
          >
            <span class={`swatch ${each}`} aria-hidden="true" /> {each} {integer(value.counts[each] ?? 0)}
          </button>
        ))}
        <span class="hint">{period(value)}</span>
      </figcaption>
    </figure>
  );
}

function Plot({ all }: { all: Bar[] }): JSX.Element {
  return (
    <svg viewBox={`0 0 ${all.length * BAR_WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      {all.map((bar, position) => (
        <g key={bar.start}>
          {!bar.isKnown && <rect class="unknown-count" x={position * BAR_WIDTH} y={0} width={BAR_WIDTH} height={HEIGHT} />}
          {bar.segments.map(({ reason, from, to }) => (
            <rect
              key={reason}
              class={reason}
              x={position * BAR_WIDTH + 1}
              y={(1 - to) * HEIGHT}
              width={BAR_WIDTH - 2}
              height={(to - from) * HEIGHT}
            />
          ))}
        </g>
      ))}
    </svg>
  );
}

function period({ counts, since, counted_since, complete }: DeadLetterCounts): string {
  const from = fromIso(complete ? since : counted_since);
  const start = from ? shortTime(from, new Date()) : since;
  const gap = complete ? "" : "; older ones are not counted";
  return `${integer(totalOf(counts))} since ${start}${gap}`;
}

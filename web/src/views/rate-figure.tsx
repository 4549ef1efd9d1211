import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Chart } from "../chart";
import type { Feed } from "../feed";
import { NO_VALUE, integer } from "../format";
import type { RateSeries } from "../rate";

const UPDATE_INTERVAL_MS = 1_000;

/** Orders per second as a chart, and as a sentence for screen readers. */
export function RateFigure({ feed }: { feed: Feed }): JSX.Element {
  const container = useRef<HTMLDivElement>(null);
  const [series, setSeries] = useState(() => feed.series(Date.now()));
  useEffect(() => {
    const update = () => document.hidden || setSeries(feed.series(Date.now()));
    const timer = setInterval(update, UPDATE_INTERVAL_MS);
    return () => clearInterval(timer);
  }, [feed]);
  useChart(container, series);
  return (
    <figure class="rate">
      <div ref={container} class="plot" aria-hidden="true" />
      <figcaption>{rateSentence(series)}</figcaption>
    </figure>
  );
}

function rateSentence({ counts }: RateSeries): string {
  const known = counts.filter((count) => count !== null);
  const now = counts.at(-1);
  const missing = counts.length - known.length;
  const gap = missing > 0 ? `; no data for ${missing} s` : "";
  return `now ${now == null ? NO_VALUE : integer(now)}/s, peak ${integer(Math.max(0, ...known))}/s in two minutes${gap}`;
}

function useChart(container: { current: HTMLElement | null }, series: RateSeries): void {
  const chart = useRef<Chart | null>(null);
  useEffect(() => {
    let isUnmounted = false;
    import("../chart")
      .then((loaded) => {
        if (!isUnmounted && container.current) chart.current = new loaded.Chart(container.current);
      })
      .catch(() => undefined); // the sentence has the same information
    return () => {
      isUnmounted = true;
      chart.current?.destroy();
    };
  }, [container]);
  useEffect(() => chart.current?.draw(series), [series]);
}

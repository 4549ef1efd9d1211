import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Chart } from "../chart";
import type { Feed } from "../feed";
import { NOTHING, whole } from "../format";
import type { RateSeries } from "../rate";

const SECOND_MS = 1_000;

/** Orders a second as a line, and as a sentence for who can't see it. */
export function RateFigure({ feed }: { feed: Feed }): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const [series, setSeries] = useState(() => feed.series(Date.now()));
  useEffect(() => {
    const turn = () => document.hidden || setSeries(feed.series(Date.now()));
    const timer = setInterval(turn, SECOND_MS);
    return () => clearInterval(timer);
  }, [feed]);
  useChart(place, series);
  return (
    <figure class="rate">
      <div ref={place} class="plot" aria-hidden="true" />
      <figcaption>{rateSentence(series)}</figcaption>
    </figure>
  );
}

function rateSentence({ counts }: RateSeries): string {
  const known = counts.filter((count) => count !== null);
  const now = counts.at(-1);
  const missing = counts.length - known.length;
  const gap = missing > 0 ? `; not known: ${missing} s` : "";
  return `now ${now == null ? NOTHING : whole(now)}/s, most ${whole(Math.max(0, ...known))}/s in two minutes${gap}`;
}

function useChart(place: { current: HTMLElement | null }, series: RateSeries): void {
  const chart = useRef<Chart | null>(null);
  useEffect(() => {
    let isGone = false;
    import("../chart")
      .then((loaded) => {
        if (!isGone && place.current) chart.current = new loaded.Chart(place.current);
      })
      .catch(() => undefined); // the sentence below says the same
    return () => {
      isGone = true;
      chart.current?.destroy();
    };
  }, [place]);
  useEffect(() => chart.current?.draw(series), [series]);
}

import type { JSX } from "preact";
import { outages } from "../outages";
import type { Polled } from "../system";
import type { Stats } from "../types";

/** Always there, so that a screen reader follows it; empty while all servers are reached. */
export function Outages({ stats }: { stats: Polled<Stats> }): JSX.Element {
  return (
    <div role="status" aria-label="Outages" class="outages">
      {outages(stats, new Date()).map((sentence) => (
        <p key={sentence} class="bad">
          {sentence}
        </p>
      ))}
    </div>
  );
}

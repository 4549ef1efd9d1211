import type { JSX } from "preact";
import { outageMessages } from "../outages";
import type { Polled } from "../system";
import type { Stats } from "../types";

/** Always rendered, so that screen readers announce changes. Empty without outages. */
export function Outages({ stats }: { stats: Polled<Stats> }): JSX.Element {
  return (
    <div role="status" aria-label="Outages" class="outages">
      {outageMessages(stats, new Date()).map((message) => (
        <p key={message} class="bad">
          {message}
        </p>
      ))}
    </div>
  );
}

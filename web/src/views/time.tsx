import type { JSX } from "preact";
import { localTime, utcTime } from "../format";

/** A moment in the reader's own zone, or in UTC with `isUtc`; the other one is its title. */
export function Time({ at, isUtc = false }: { at: Date; isUtc?: boolean }): JSX.Element {
  const local = localTime(at);
  const utc = utcTime(at);
  return (
    <time dateTime={at.toISOString()} title={isUtc ? local : utc}>
      {isUtc ? utc : local}
    </time>
  );
}

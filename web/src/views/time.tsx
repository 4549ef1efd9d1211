import type { JSX } from "preact";
import { localTime, shortTime, utcTime } from "../format";

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

/** A moment in the reader's own zone, without the date when that is today's; both zones in full are its title. */
export function ShortTime({ at }: { at: Date }): JSX.Element {
  return (
    <time dateTime={at.toISOString()} title={`${localTime(at)}, ${utcTime(at)}`}>
      {shortTime(at, new Date())}
    </time>
  );
}

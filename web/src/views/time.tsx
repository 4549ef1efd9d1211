import type { JSX } from "preact";
import { fromIso, localTime, shortTime, utcTime } from "../format";

/** A time in the browser's zone, or in UTC with `isUtc`. The title has the other one. */
export function Time({ at, isUtc = false }: { at: Date; isUtc?: boolean }): JSX.Element {
  const local = localTime(at);
  const utc = utcTime(at);
  return (
    <time dateTime={at.toISOString()} title={isUtc ? local : utc}>
      {isUtc ? utc : local}
    </time>
  );
}

/** A time in the browser's zone, without today's date. The title has the full time in both zones. */
export function ShortTime({ at }: { at: Date }): JSX.Element {
  return (
    <time dateTime={at.toISOString()} title={`${localTime(at)}, ${utcTime(at)}`}>
      {shortTime(at, new Date())}
    </time>
  );
}

/** A time from a header. Producers can write anything there: other text is shown unchanged. */
export function HeaderTime({ text, isShort = false }: { text: string; isShort?: boolean }): JSX.Element {
  const at = fromIso(text);
  if (!at) return <>{text}</>;
  return isShort ? <ShortTime at={at} /> : <Time at={at} />;
}

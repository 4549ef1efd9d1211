import { Rate, type RateSeries } from "./rate";
import { Ring } from "./ring";
import type { ServerEvent } from "./sse";

export interface Row {
  /** Counts all rows, from 1. */
  number: number;
  kind: "stored" | "replaced" | "reset";
  orderUid: string;
  /** When it came, Unix milliseconds. */
  at: number;
}

export const MAX_ROWS = 200;
export const RATE_SECONDS = 120;
const KINDS: readonly string[] = ["stored", "replaced", "reset"];

/** The newest events and their rate; what it holds does not grow with what came. */
export class Feed {
  /** How many rows there ever were. */
  total = 0;
  private readonly rows = new Ring<Row>(MAX_ROWS);
  private readonly rate: Rate;

  constructor(now: number) {
    this.rate = new Rate(RATE_SECONDS, now);
  }

  take(events: ServerEvent[], now: number): void {
    for (const event of events) if (isKnown(event.kind)) this.add(event.kind, event.data, now);
  }

  newestFirst(): Row[] {
    return this.rows.newestFirst();
  }

  series(now: number): RateSeries {
    return this.rate.series(now);
  }

  private add(kind: Row["kind"], data: string, now: number): void {
    this.total += 1;
    this.rows.push({ number: this.total, kind, orderUid: orderUid(data), at: now });
    if (kind !== "reset") this.rate.count(now);
  }
}

function isKnown(kind: string): kind is Row["kind"] {
  return KINDS.includes(kind);
}

function orderUid(data: string): string {
  const told = JSON.parse(data) as { order_uid?: string };
  return told.order_uid ?? "";
}

import { Rate, type RateSeries } from "./rate";
import { RingBuffer } from "./ring";
import type { ServerEvent } from "./sse";

export interface Row {
  /** Sequence number, from 1. */
  number: number;
  kind: "stored" | "replaced" | "reset";
  orderUid: string;
  /** Server time, Unix milliseconds. */
  at: number;
}

/** The data of an event. Times are RFC 3339. */
interface EventData {
  order_uid?: string;
  at?: string;
  /** `reset` only: events after this time may be missing. */
  since?: string;
}

export const MAX_ROWS = 200;
export const RATE_WINDOW_SECONDS = 120;
/** Longer than the interval of the server's heartbeats: after a longer silence, the current rate is unknown. */
export const STALE_AFTER_MS = 20_000;
const KINDS: readonly string[] = ["stored", "replaced", "reset"];

/**
 * The newest events and their rate, in server time. Uses constant memory.
 * The parameter `now` is the browser's time, in Unix milliseconds.
 */
export class Feed {
  /** Number of rows so far, including those that were dropped. */
  total = 0;
  /** Number of orders stored so far, without replaced ones. */
  stored = 0;
  private readonly rows = new RingBuffer<Row>(MAX_ROWS);
  private rate: Rate | null = null;
  /** Server time minus browser time. */
  private clockOffset = 0;
  private isConnected = false;
  /** Server time: all events before it have arrived. */
  private completeUntil = 0;
  /** `completeUntil` as of the last connection or event. Events missing at a `reset` are later than this. */
  private lastEventAt = 0;

  /** `date` is the server time in Unix milliseconds, or NaN. A resumed stream continues after the last event. */
  onConnected(now: number, date: number, isResumed: boolean): void {
    if (!Number.isNaN(date)) this.clockOffset = date - now;
    const at = this.serverTime(now);
    if (!this.rate) {
      this.rate = new Rate(RATE_WINDOW_SECONDS, at);
      this.completeUntil = at;
    } else if (!isResumed) {
      this.rate.gap(this.completeUntil, at);
    }
    this.lastEventAt = this.completeUntil;
    this.isConnected = true;
  }

  /** The stream ended: new events arrive late, or never. */
  onDisconnected(): void {
    this.isConnected = false;
  }

  addEvents(events: ServerEvent[], now: number): void {
    for (const event of events) if (isKnown(event.kind)) this.add(event.kind, JSON.parse(event.data) as EventData, now);
  }

  /** All data that the server has sent up to now has arrived. */
  onDataReceived(now: number): void {
    this.completeUntil = Math.max(this.completeUntil, this.serverTime(now));
  }

  newestFirst(): Row[] {
    return this.rows.newestFirst();
  }

  series(now: number): RateSeries {
    const at = this.serverTime(now);
    const isFollowing = this.isConnected && at - this.completeUntil < STALE_AFTER_MS;
    return this.rate?.series(at, isFollowing ? Infinity : this.completeUntil) ?? { seconds: [], counts: [] };
  }

  private add(kind: Row["kind"], data: EventData, now: number): void {
    const at = data.at === undefined ? this.serverTime(now) : Date.parse(data.at);
    this.clockOffset = Math.max(this.clockOffset, at - now); // no event arrives before its own time
    this.total += 1;
    if (kind === "stored") this.stored += 1;
    this.rows.push({ number: this.total, kind, orderUid: data.order_uid ?? "", at });
    if (kind === "reset") this.rate?.gap(data.since === undefined ? this.lastEventAt : Date.parse(data.since), at);
    else this.rate?.count(at);
    this.completeUntil = Math.max(this.completeUntil, at);
    this.lastEventAt = Math.max(this.lastEventAt, at);
  }

  private serverTime(now: number): number {
    return now + this.clockOffset;
  }
}

function isKnown(kind: string): kind is Row["kind"] {
  return KINDS.includes(kind);
}

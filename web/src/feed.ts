import { Rate, type RateSeries } from "./rate";
import { Ring } from "./ring";
import type { ServerEvent } from "./sse";

export interface Row {
  /** Counts all rows, from 1. */
  number: number;
  kind: "stored" | "replaced" | "reset";
  orderUid: string;
  /** When it happened by the server's clock, Unix milliseconds. */
  at: number;
}

/** The data of an event; times are RFC 3339. */
interface EventData {
  order_uid?: string;
  at?: string;
  /** Of a reset: events after this time may be missing. */
  since?: string;
}

export const MAX_ROWS = 200;
export const RATE_SECONDS = 120;
/** More than the server's heartbeats are apart: a longer silence is a standstill, here or there. */
export const QUIET_MS = 20_000;
const KINDS: readonly string[] = ["stored", "replaced", "reset"];

/**
 * The newest events and their rate, by the server's clock; what it holds does not grow with what came.
 * `now` is this machine's clock, in Unix milliseconds, wherever it is a parameter.
 */
export class Feed {
  /** How many rows there ever were. */
  total = 0;
  private readonly rows = new Ring<Row>(MAX_ROWS);
  private rate: Rate | null = null;
  /** The server's clock less ours. */
  private offset = 0;
  private isConnected = false;
  /** By the server's clock: all that happened before has come. */
  private knownUntil = 0;
  /** The same as it was when the stream was opened, or when the last event happened: what a reset is about is later. */
  private lastEvent = 0;

  /** A stream is open. `date` is the server's time in Unix milliseconds; a resumed one continues after the last event. */
  opened(now: number, date: number, isResumed: boolean): void {
    if (!Number.isNaN(date)) this.offset = date - now;
    const at = this.serverTime(now);
    if (!this.rate) {
      this.rate = new Rate(RATE_SECONDS, at);
      this.knownUntil = at;
    } else if (!isResumed) {
      this.rate.gap(this.knownUntil, at);
    }
    this.lastEvent = this.knownUntil;
    this.isConnected = true;
  }

  /** The stream has ended; what happens now comes later, or never. */
  lost(): void {
    this.isConnected = false;
  }

  take(events: ServerEvent[], now: number): void {
    for (const event of events) if (isKnown(event.kind)) this.add(event.kind, JSON.parse(event.data) as EventData, now);
  }

  /** All that the server had sent until now was taken. */
  heard(now: number): void {
    this.knownUntil = Math.max(this.knownUntil, this.serverTime(now));
  }

  newestFirst(): Row[] {
    return this.rows.newestFirst();
  }

  series(now: number): RateSeries {
    const at = this.serverTime(now);
    const isFollowing = this.isConnected && at - this.knownUntil < QUIET_MS;
    return this.rate?.series(at, isFollowing ? Infinity : this.knownUntil) ?? { seconds: [], counts: [] };
  }

  private add(kind: Row["kind"], data: EventData, now: number): void {
    const at = data.at === undefined ? this.serverTime(now) : Date.parse(data.at);
    this.offset = Math.max(this.offset, at - now); // nothing comes before it happens
    this.total += 1;
    this.rows.push({ number: this.total, kind, orderUid: data.order_uid ?? "", at });
    if (kind === "reset") this.rate?.gap(data.since === undefined ? this.lastEvent : Date.parse(data.since), at);
    else this.rate?.count(at);
    this.knownUntil = Math.max(this.knownUntil, at);
    this.lastEvent = Math.max(this.lastEvent, at);
  }

  private serverTime(now: number): number {
    return now + this.offset;
  }
}

function isKnown(kind: string): kind is Row["kind"] {
  return KINDS.includes(kind);
}

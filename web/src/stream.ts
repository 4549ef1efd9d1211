import { retryAfter } from "./api";
import { EventParser, type ServerEvent } from "./sse";

export type StreamState =
  | { kind: "connecting" | "connected" | "unauthorized" | "forbidden" }
  | { kind: "waiting"; seconds: number };

export interface StreamOptions {
  /** Opens the stream. Rejects if there is no response. */
  open: (headers: Record<string, string>, signal: AbortSignal) => Promise<Response>;
  /** The stream is open. `isResumed`: it continues after the last event. */
  onOpen: (headers: Headers, isResumed: boolean) => void;
  onEvents: (events: ServerEvent[]) => void;
  /** Data arrived, and its events were passed to `onEvents`. */
  onData: () => void;
  onState: (state: StreamState) => void;
  /** In [0, 1). */
  random?: () => number;
}

const MIN_DELAY_MS = 1_000;
const MAX_DELAY_MS = 30_000;
/** Longer than two of the server's heartbeats, which come every 15 s. */
const READ_TIMEOUT_MS = 40_000;

/** Follows an event stream until it is stopped. Reconnects, and continues after the last event. */
export class EventStream {
  private readonly random: () => number;
  private lastId = "";
  private retryMs = MIN_DELAY_MS;
  private failures = 0;
  private running: AbortController | null = null;
  private waiting: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly options: StreamOptions) {
    this.random = options.random ?? Math.random;
  }

  start(): void {
    void this.connect();
  }

  stop(): void {
    clearTimeout(this.waiting);
    this.running?.abort();
    this.running = null;
  }

  private async connect(): Promise<void> {
    const running = new AbortController();
    this.running = running;
    this.options.onState({ kind: "connecting" });
    const watchdog = new Watchdog(() => running.abort());
    const minSeconds = await this.follow(running.signal, watchdog).catch(() => 0);
    watchdog.stop();
    if (this.running === running && minSeconds !== null) this.reconnect(minSeconds);
  }

  /** Return the minimum delay before the next attempt in seconds, or null if there should be none. */
  private async follow(signal: AbortSignal, watchdog: Watchdog): Promise<number | null> {
    const isResumed = this.lastId !== "";
    const response = await this.options.open(this.headers(), signal);
    if (response.status === 401) return this.end("unauthorized");
    if (response.status === 403) return this.end("forbidden");
    if (!response.ok || !response.body) return retryAfter(response.headers);
    this.options.onOpen(response.headers, isResumed);
    this.options.onState({ kind: "connected" });
    await this.read(response.body, watchdog);
    return 0;
  }

  private async read(body: ReadableStream<Uint8Array>, watchdog: Watchdog): Promise<void> {
    const parser = new EventParser(this.lastId);
    const decoder = new TextDecoder();
    const reader = body.getReader();
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      watchdog.reset();
      this.failures = 0;
      const events = parser.push(decoder.decode(chunk.value, { stream: true }));
      this.lastId = parser.lastId;
      this.retryMs = parser.retry ?? this.retryMs;
      if (events.length > 0) this.options.onEvents(events);
      this.options.onData();
    }
  }

  private reconnect(minSeconds: number): void {
    const delay = Math.max(this.backoff(), minSeconds * 1_000);
    this.failures += 1;
    this.options.onState({ kind: "waiting", seconds: Math.ceil(delay / 1_000) });
    this.waiting = setTimeout(() => void this.connect(), delay);
  }

  /** Doubles with each failure. Half of it is jitter, so that clients do not all reconnect at once after a restart. */
  private backoff(): number {
    const max = Math.min(MAX_DELAY_MS, this.retryMs * 2 ** this.failures);
    return Math.max(MIN_DELAY_MS, max * (0.5 + this.random() / 2));
  }

  private headers(): Record<string, string> {
    const resume: Record<string, string> = this.lastId ? { "last-event-id": this.lastId } : {};
    return { accept: "text/event-stream", ...resume };
  }

  private end(kind: "unauthorized" | "forbidden"): null {
    this.options.onState({ kind });
    return null;
  }
}

/** Calls `onTimeout` unless it is reset in time. */
class Watchdog {
  private timer: ReturnType<typeof setTimeout>;

  constructor(private readonly onTimeout: () => void) {
    this.timer = setTimeout(onTimeout, READ_TIMEOUT_MS);
  }

  reset(): void {
    this.stop();
    this.timer = setTimeout(this.onTimeout, READ_TIMEOUT_MS);
  }

  stop(): void {
    clearTimeout(this.timer);
  }
}

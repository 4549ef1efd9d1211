import { retryAfter } from "./api";
import { EventParser, type ServerEvent } from "./sse";

export type StreamState =
  | { kind: "connecting" | "connected" | "unauthorised" | "forbidden" }
  | { kind: "waiting"; seconds: number };

export interface StreamOptions {
  /** Opens the stream; rejects when nothing answers. */
  open: (headers: Record<string, string>, signal: AbortSignal) => Promise<Response>;
  /** The stream is open; `isResumed` when it continues after the last event. */
  onOpen: (headers: Headers, isResumed: boolean) => void;
  onEvents: (events: ServerEvent[]) => void;
  /** Bytes came, and the events among them were passed on. */
  onHeard: () => void;
  onState: (state: StreamState) => void;
  /** In [0, 1). */
  random?: () => number;
}

const FIRST_DELAY_MS = 1_000;
const LONGEST_DELAY_MS = 30_000;
/** More than two of the server's heartbeats, which come every 15 s. */
const SILENCE_MS = 40_000;

/** Follows an event stream until it is stopped, and reconnects where it left off. */
export class EventStream {
  private readonly random: () => number;
  private lastId = "";
  private retryMs = FIRST_DELAY_MS;
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
    const least = await this.follow(running.signal, watchdog).catch(() => 0);
    watchdog.stop();
    if (this.running === running && least !== null) this.reconnect(least);
  }

  /** Return the seconds to wait at least before the next attempt, or null when none makes sense. */
  private async follow(signal: AbortSignal, watchdog: Watchdog): Promise<number | null> {
    const isResumed = this.lastId !== "";
    const response = await this.options.open(this.headers(), signal);
    if (response.status === 401) return this.end("unauthorised");
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
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      watchdog.feed();
      this.failures = 0;
      const events = parser.push(decoder.decode(piece.value, { stream: true }));
      this.lastId = parser.lastId;
      this.retryMs = parser.retry ?? this.retryMs;
      if (events.length > 0) this.options.onEvents(events);
      this.options.onHeard();
    }
  }

  private reconnect(leastSeconds: number): void {
    const delay = Math.max(this.backoff(), leastSeconds * 1_000);
    this.failures += 1;
    this.options.onState({ kind: "waiting", seconds: Math.ceil(delay / 1_000) });
    this.waiting = setTimeout(() => void this.connect(), delay);
  }

  /** Doubles with each failure; half of it is jitter, so that clients of a restarted server come one by one. */
  private backoff(): number {
    const most = Math.min(LONGEST_DELAY_MS, this.retryMs * 2 ** this.failures);
    return Math.max(FIRST_DELAY_MS, most * (0.5 + this.random() / 2));
  }

  private headers(): Record<string, string> {
    const resume: Record<string, string> = this.lastId ? { "last-event-id": this.lastId } : {};
    return { accept: "text/event-stream", ...resume };
  }

  private end(kind: "unauthorised" | "forbidden"): null {
    this.options.onState({ kind });
    return null;
  }
}

/** Calls back once when it was not fed for too long. */
class Watchdog {
  private timer: ReturnType<typeof setTimeout>;

  constructor(private readonly onSilence: () => void) {
    this.timer = setTimeout(onSilence, SILENCE_MS);
  }

  feed(): void {
    this.stop();
    this.timer = setTimeout(this.onSilence, SILENCE_MS);
  }

  stop(): void {
    clearTimeout(this.timer);
  }
}

export interface RateSeries {
  /** Unix seconds, oldest first, without the current second. */
  seconds: number[];
  /** Null in a gap, where the count is unknown. */
  counts: (number | null)[];
}

/** Counts events per second, over a window of seconds. Times are Unix milliseconds. */
export class Rate {
  private readonly counts: Uint32Array;
  private readonly isUnknown: Uint8Array;
  private readonly first: number;
  private newest: number;

  constructor(
    private readonly window: number,
    startMs: number,
  ) {
    this.counts = new Uint32Array(window + 1);
    this.isUnknown = new Uint8Array(window + 1);
    this.first = Math.ceil(startMs / 1_000);
    this.newest = Math.floor(startMs / 1_000);
  }

  /** Count an event at a time that may be in the past. */
  count(at: number): void {
    const second = this.advance(at);
    if (this.isInWindow(second)) this.counts[this.slot(second)]! += 1;
  }

  /** Mark a period in which events may be missing. */
  gap(from: number, to: number): void {
    const last = Math.ceil(to / 1_000) - 1;
    this.advance(last * 1_000);
    for (let second = Math.max(Math.floor(from / 1_000), this.newest - this.window); second <= last; second += 1) {
      this.isUnknown[this.slot(second)] = 1;
    }
  }

  /** Everything after `completeUntil` is a gap. */
  series(now: number, completeUntil = Infinity): RateSeries {
    this.advance(now);
    const first = Math.max(this.first, this.newest - this.window);
    const unknown = Math.floor(completeUntil / 1_000);
    const seconds = Array.from({ length: Math.max(0, this.newest - first) }, (_, index) => first + index);
    return { seconds, counts: seconds.map((second) => (second < unknown ? this.at(second) : null)) };
  }

  /** Clear the slots of the seconds since the last call. Return the second of `at`. */
  private advance(at: number): number {
    const second = Math.floor(at / 1_000);
    for (let passed = Math.max(this.newest + 1, second - this.window); passed <= second; passed += 1) {
      this.counts[this.slot(passed)] = 0;
      this.isUnknown[this.slot(passed)] = 0;
    }
    this.newest = Math.max(this.newest, second); // the clock may go backwards
    return second;
  }

  private isInWindow(second: number): boolean {
    return second >= this.newest - this.window;
  }

  private at(second: number): number | null {
    return this.isUnknown[this.slot(second)] ? null : (this.counts[this.slot(second)] ?? 0);
  }

  private slot(second: number): number {
    return second % this.counts.length;
  }
}

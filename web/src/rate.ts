export interface RateSeries {
  /** Unix seconds, oldest first, without the second that is still running. */
  seconds: number[];
  /** Null where it is not known: a gap. */
  counts: (number | null)[];
}

/** Counts by the second since it began, over a window of some seconds at most. Times are Unix milliseconds. */
export class Rate {
  private readonly counts: Uint32Array;
  private readonly isUnknown: Uint8Array;
  private readonly first: number;
  private newest: number;

  constructor(
    private readonly window: number,
    began: number,
  ) {
    this.counts = new Uint32Array(window + 1);
    this.isUnknown = new Uint8Array(window + 1);
    this.first = Math.ceil(began / 1_000);
    this.newest = Math.floor(began / 1_000);
  }

  /** Count what happened at a time, which may have passed already. */
  count(at: number): void {
    const second = this.turn(at);
    if (this.isWithin(second)) this.counts[this.slot(second)]! += 1;
  }

  /** Between these times something may have happened that was not counted. */
  gap(from: number, to: number): void {
    const last = Math.ceil(to / 1_000) - 1;
    this.turn(last * 1_000);
    for (let second = Math.max(Math.floor(from / 1_000), this.newest - this.window); second <= last; second += 1) {
      this.isUnknown[this.slot(second)] = 1;
    }
  }

  /** What is after `knownUntil` is a gap. */
  series(now: number, knownUntil = Infinity): RateSeries {
    this.turn(now);
    const first = Math.max(this.first, this.newest - this.window);
    const unknown = Math.floor(knownUntil / 1_000);
    const seconds = Array.from({ length: Math.max(0, this.newest - first) }, (_, index) => first + index);
    return { seconds, counts: seconds.map((second) => (second < unknown ? this.at(second) : null)) };
  }

  /** Empty the slots of the seconds that came since the last call; return the second of this time. */
  private turn(at: number): number {
    const second = Math.floor(at / 1_000);
    for (let passed = Math.max(this.newest + 1, second - this.window); passed <= second; passed += 1) {
      this.counts[this.slot(passed)] = 0;
      this.isUnknown[this.slot(passed)] = 0;
    }
    this.newest = Math.max(this.newest, second); // a clock may be set back
    return second;
  }

  private isWithin(second: number): boolean {
    return second >= this.newest - this.window;
  }

  private at(second: number): number | null {
    return this.isUnknown[this.slot(second)] ? null : (this.counts[this.slot(second)] ?? 0);
  }

  private slot(second: number): number {
    return second % this.counts.length;
  }
}

export interface RateSeries {
  /** Unix seconds, oldest first, without the second that is still running. */
  seconds: number[];
  counts: number[];
}

/** Counts by the second since it began, over a window of some seconds at most. Times are Unix milliseconds. */
export class Rate {
  private readonly counts: Uint32Array;
  private readonly first: number;
  private newest: number;

  constructor(
    private readonly window: number,
    began: number,
  ) {
    this.counts = new Uint32Array(window + 1);
    this.first = Math.ceil(began / 1_000);
    this.newest = Math.floor(began / 1_000);
  }

  count(now: number): void {
    const second = this.turn(now);
    this.counts[this.slot(second)] = this.at(second) + 1;
  }

  series(now: number): RateSeries {
    const current = this.turn(now);
    const first = Math.max(this.first, current - this.window);
    const seconds = Array.from({ length: Math.max(0, current - first) }, (_, index) => first + index);
    return { seconds, counts: seconds.map((second) => this.at(second)) };
  }

  /** Empty the slots of the seconds that passed since the last call. */
  private turn(now: number): number {
    const second = Math.max(Math.floor(now / 1_000), this.newest); // a clock may be set back
    const first = Math.max(this.newest + 1, second - this.window);
    for (let passed = first; passed <= second; passed += 1) this.counts[this.slot(passed)] = 0;
    this.newest = second;
    return second;
  }

  private at(second: number): number {
    return this.counts[this.slot(second)] ?? 0;
  }

  private slot(second: number): number {
    return second % this.counts.length;
  }
}

/** A ring buffer: keeps the newest values, up to `capacity`. */
export class RingBuffer<T> {
  private readonly slots: T[] = [];
  private next = 0;

  constructor(readonly capacity: number) {}

  push(value: T): void {
    this.slots[this.next] = value;
    this.next = (this.next + 1) % this.capacity;
  }

  newestFirst(): T[] {
    return [...this.slots.slice(this.next), ...this.slots.slice(0, this.next)].reverse();
  }
}

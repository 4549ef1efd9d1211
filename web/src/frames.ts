/** Calls its listeners once per animation frame, however often that is requested. */
export class FrameScheduler {
  private requested: number | null = null;
  private readonly listeners = new Set<() => void>();

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  request(): void {
    this.requested ??= requestAnimationFrame(() => {
      this.requested = null;
      this.listeners.forEach((listener) => listener());
    });
  }

  cancel(): void {
    if (this.requested !== null) cancelAnimationFrame(this.requested);
    this.requested = null;
  }
}

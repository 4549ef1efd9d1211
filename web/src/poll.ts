/** Repeat the request until it returns false, but not while the document is hidden. Return a function that stops it. */
export function poll(request: (signal: AbortSignal) => Promise<boolean>, intervalMs: number): () => void {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isRunning = false;

  async function tick(): Promise<void> {
    clearTimeout(timer);
    if (document.hidden || isRunning) return;
    isRunning = true;
    const shouldContinue = await request(controller.signal);
    isRunning = false;
    if (shouldContinue && !controller.signal.aborted) timer = setTimeout(tick, intervalMs);
  }

  document.addEventListener("visibilitychange", tick, { signal: controller.signal });
  void tick();
  return () => {
    controller.abort();
    clearTimeout(timer);
  };
}

/** Ask for as long as the answer is true, not while the document is hidden; return what stops it. */
export function poll(ask: (signal: AbortSignal) => Promise<boolean>, everyMs: number): () => void {
  const stopped = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isAsking = false;

  async function turn(): Promise<void> {
    clearTimeout(timer);
    if (document.hidden || isAsking) return;
    isAsking = true;
    const goesOn = await ask(stopped.signal);
    isAsking = false;
    if (goesOn && !stopped.signal.aborted) timer = setTimeout(turn, everyMs);
  }

  document.addEventListener("visibilitychange", turn, { signal: stopped.signal });
  void turn();
  return () => {
    stopped.abort();
    clearTimeout(timer);
  };
}

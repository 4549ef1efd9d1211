import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { Answer, Result } from "./api";
import { useAccess, useApi } from "./context";
import { poll } from "./poll";
import { parseRoute, type Route } from "./route";
import type { Polled } from "./system";
import type { Stats } from "./types";

const UNAUTHORISED = 401;

export function useRoute(): Route {
  const [fragment, setFragment] = useState(location.hash);
  useEffect(() => {
    const follow = () => setFragment(location.hash);
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return parseRoute(fragment);
}

/** Asks the API for something. */
export type Load<T> = (signal: AbortSignal) => Promise<Result<T>>;

/** `load` must stay the same function from one rendering to the next. */
export function usePolled<T>(load: Load<T>, everyMs: number): Polled<T> {
  const { key } = useAccess();
  const [polled, setPolled] = useState<Polled<T>>({ value: null, refusal: null });
  useEffect(() => {
    const ask = async (signal: AbortSignal) => {
      const result = await load(signal);
      if (signal.aborted) return false;
      setPolled((last) => (result.ok ? { value: result.body, refusal: null } : { ...last, refusal: result }));
      return result.ok || result.status !== UNAUTHORISED; // until there is another key
    };
    return poll(ask, everyMs);
  }, [load, everyMs, key]);
  return polled;
}

const STATS_MS = 2_000;

export function useStats(): Polled<Stats> {
  const api = useApi();
  return usePolled(
    useCallback((signal: AbortSignal) => api.get<Stats>("stats", signal), [api]),
    STATS_MS,
  );
}

export interface Loaded<T> {
  /** Of the last load that ended. */
  result: Result<T> | null;
  /** The last one that was answered, which stays when it is asked for again in vain. */
  answer: Answer<T> | null;
  isLoading: boolean;
  reload: () => void;
}

/** Loads at first, when `load` is another function, when the key changes, and by `reload`; null loads nothing. */
export function useLoaded<T>(load: Load<T> | null): Loaded<T> {
  const { key } = useAccess();
  const [turn, setTurn] = useState(0);
  const [loaded, setLoaded] = useState<Omit<Loaded<T>, "reload">>({ result: null, answer: null, isLoading: load !== null });
  const before = useRef<Load<T> | null>(null);
  useEffect(() => {
    const isAgain = load === before.current;
    before.current = load;
    if (!load) return setLoaded({ result: null, answer: null, isLoading: false });
    const left = new AbortController();
    setLoaded((last) => ({ ...last, isLoading: true }));
    void load(left.signal).then((result) => {
      if (left.signal.aborted) return;
      setLoaded((last) => ({ result, answer: result.ok ? result : isAgain ? last.answer : null, isLoading: false }));
    });
    return () => left.abort();
  }, [load, key, turn]);
  return { ...loaded, reload: useCallback(() => setTurn((last) => last + 1), []) };
}

/** Call it again and again, not while the document is hidden; null calls nothing. It must stay the same function. */
export function useEvery(everyMs: number, call: (() => void) | null): void {
  useEffect(() => {
    if (!call) return;
    const timer = setInterval(() => document.hidden || call(), everyMs);
    return () => clearInterval(timer);
  }, [everyMs, call]);
}

export interface Paging {
  /** Of the page that is shown; null for the first. */
  cursor: string | null;
  first: () => void;
  newer: () => void;
  older: (cursor: string) => void;
}

/** Keyset pages lead one way only; the way back is remembered. */
export function usePaging(): Paging {
  const [cursors, setCursors] = useState<string[]>([]);
  return {
    cursor: cursors.at(-1) ?? null,
    first: () => setCursors([]),
    newer: () => setCursors((passed) => passed.slice(0, -1)),
    older: (cursor) => setCursors((passed) => [...passed, cursor]),
  };
}

import { useCallback, useEffect, useState } from "preact/hooks";
import type { Result } from "./api";
import { useAccess } from "./context";
import { poll } from "./poll";
import { parseRoute, type Route } from "./route";
import type { Polled } from "./system";

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

export interface Loaded<T> {
  /** Of the last load that ended. */
  result: Result<T> | null;
  isLoading: boolean;
  reload: () => void;
}

/** Loads at first, when `load` is another function, when the key changes, and by `reload`; null loads nothing. */
export function useLoaded<T>(load: Load<T> | null): Loaded<T> {
  const { key } = useAccess();
  const [turn, setTurn] = useState(0);
  const [loaded, setLoaded] = useState<Omit<Loaded<T>, "reload">>({ result: null, isLoading: load !== null });
  useEffect(() => {
    if (!load) return setLoaded({ result: null, isLoading: false });
    const left = new AbortController();
    setLoaded(({ result }) => ({ result, isLoading: true }));
    void load(left.signal).then((result) => {
      if (!left.signal.aborted) setLoaded({ result, isLoading: false });
    });
    return () => left.abort();
  }, [load, key, turn]);
  return { ...loaded, reload: useCallback(() => setTurn((last) => last + 1), []) };
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

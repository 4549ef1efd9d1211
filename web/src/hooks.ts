import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { isTemporary, type Success, type Result } from "./api";
import { useAccess, useApi } from "./context";
import { withSample, type Sample } from "./history";
import { poll } from "./poll";
import { readReadiness } from "./readiness";
import { parseRoute, type Route } from "./route";
import type { Polled } from "./system";
import type { Readiness, Stats } from "./types";

const UNAUTHORIZED = 401;

export function useRoute(): Route {
  const [fragment, setFragment] = useState(location.hash);
  useEffect(() => {
    const follow = () => setFragment(location.hash);
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return parseRoute(fragment);
}

/** Requests something from the API. */
export type Load<T> = (signal: AbortSignal) => Promise<Result<T>>;

/** `load` must be a stable function (useCallback). */
export function usePolled<T>(load: Load<T>, intervalMs: number): Polled<T> {
  const { key } = useAccess();
  const [polled, setPolled] = useState<Polled<T>>({ value: null, failure: null });
  useEffect(() => {
    const request = async (signal: AbortSignal) => {
      const result = await load(signal);
      if (signal.aborted) return false;
      setPolled((last) => (result.ok ? { value: result.body, failure: null } : { ...last, failure: result }));
      return result.ok || result.status !== UNAUTHORIZED; // stop until the key changes
    };
    return poll(request, intervalMs);
  }, [load, intervalMs, key]);
  return polled;
}

const STATS_INTERVAL_MS = 2_000;

export function useStats(): Polled<Stats> {
  const api = useApi();
  return usePolled(
    useCallback((signal: AbortSignal) => api.get<Stats>("stats", signal), [api]),
    STATS_INTERVAL_MS,
  );
}

const READINESS_INTERVAL_MS = 5_000;

export function useReadiness(): Polled<Readiness> {
  const api = useApi();
  return usePolled(
    useCallback((signal: AbortSignal) => readReadiness(api, signal), [api]),
    READINESS_INTERVAL_MS,
  );
}

/** Samples the statistics each time they are polled. */
export function useSamples(stats: Polled<Stats>): Sample[] {
  const [samples, setSamples] = useState<Sample[]>([]);
  useEffect(() => {
    if (stats.value || stats.failure) setSamples((last) => withSample(last, stats, Date.now()));
  }, [stats]);
  return samples;
}

export interface Loaded<T> {
  /** The result of the last completed load. */
  result: Result<T> | null;
  /** The last success. A failed reload does not remove it. */
  lastSuccess: Success<T> | null;
  isLoading: boolean;
  reload: () => void;
}

const MIN_RETRY_DELAY_MS = 3_000;

/**
 * Loads when `load` or the API key changes, on `reload`, and again after a temporary failure.
 * A null `load` loads nothing. While it loads again, the last result stays.
 */
export function useLoaded<T>(load: Load<T> | null): Loaded<T> {
  const { key } = useAccess();
  const [reloads, setReloads] = useState(0);
  const [loaded, setLoaded] = useState<Omit<Loaded<T>, "reload">>({ result: null, lastSuccess: null, isLoading: load !== null });
  const previousLoad = useRef<Load<T> | null>(null);
  const reload = useCallback(() => setReloads((last) => last + 1), []);
  useEffect(() => {
    const isReload = load === previousLoad.current;
    previousLoad.current = load;
    if (!load) return setLoaded({ result: null, lastSuccess: null, isLoading: false });
    const controller = new AbortController();
    setLoaded((last) => ({ ...last, result: isReload ? last.result : null, isLoading: true }));
    void load(controller.signal).then((result) => {
      if (controller.signal.aborted) return;
      setLoaded((last) => ({ result, lastSuccess: result.ok ? result : isReload ? last.lastSuccess : null, isLoading: false }));
    });
    return () => controller.abort();
  }, [load, key, reloads]);
  useRetry(loaded.result, reload);
  return { ...loaded, reload };
}

function useRetry(result: Result<unknown> | null, reload: () => void): void {
  useEffect(() => {
    if (!result || result.ok || !isTemporary(result)) return;
    const timer = setTimeout(reload, Math.max(MIN_RETRY_DELAY_MS, result.retryAfter * 1_000));
    return () => clearTimeout(timer);
  }, [result, reload]);
}

/** Calls a stable function at an interval, but not while the document is hidden. A null `call` does nothing. */
export function useInterval(intervalMs: number, call: (() => void) | null): void {
  useEffect(() => {
    if (!call) return;
    const timer = setInterval(() => document.hidden || call(), intervalMs);
    return () => clearInterval(timer);
  }, [intervalMs, call]);
}


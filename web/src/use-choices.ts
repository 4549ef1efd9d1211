import { useEffect, useState } from "preact/hooks";
import type { Result } from "./api";
import { useApi } from "./context";
import { search, type Choice } from "./matches";

/** Long enough that typing an id is one search. */
const DEBOUNCE_MS = 200;

/** Searches when the text has stopped changing, and cancels the search of the previous text. Null while it searches. */
export function useChoices(text: string): Result<Choice[]> | null {
  const api = useApi();
  const [result, setResult] = useState<Result<Choice[]> | null>(null);
  useEffect(() => {
    setResult(null);
    if (text === "") return;
    const controller = new AbortController();
    const run = async () => {
      const found = await search(api, text, controller.signal);
      if (!controller.signal.aborted) setResult(found);
    };
    const timer = setTimeout(() => void run(), DEBOUNCE_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [api, text]);
  return result;
}

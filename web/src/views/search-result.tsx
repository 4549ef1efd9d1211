import type { JSX } from "preact";
import { useCallback, useEffect } from "preact/hooks";
import { useApi } from "../context";
import { useLoaded } from "../hooks";
import { search } from "../matches";
import { searchMessage } from "../messages";

/** Opens the only match. Offers several, and says why there is none. */
export function SearchResult({ text }: { text: string }): JSX.Element {
  const api = useApi();
  const { result } = useLoaded(useCallback((signal: AbortSignal) => search(api, text, signal), [api, text]));
  const found = result?.ok ? result.body : [];
  const only = found.length === 1 ? found[0]?.fragment : undefined;
  useEffect(() => {
    if (only) location.replace(only); // so that back does not return to the search
  }, [only]);
  return (
    <section class="panel" aria-labelledby="search-title">
      <h2 id="search-title">Search: {text}</h2>
      <p role="status" aria-label="Look-up" class={result && found.length === 0 ? "bad" : ""}>
        {searchMessage(result)}
      </p>
      <ul>
        {found.map((choice) => (
          <li key={choice.fragment}>
            <a href={choice.fragment}>{choice.label}</a> <span class="hint">{choice.detail}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

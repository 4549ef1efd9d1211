import type { JSX } from "preact";
import { useCallback } from "preact/hooks";
import { withQuery, type Result } from "../api";
import { REASONS } from "../commands";
import { useApi } from "../context";
import { useLoaded, type Load } from "../hooks";
import { fragmentOf, goTo } from "../route";
import { firstNonEmptyPage } from "../search";
import { DEAD_LETTERS, failureMessage } from "../messages";
import type { DeadLetterPage } from "../types";
import { DeadLetterCard } from "./dead-letter";
import { Pager } from "./parts";

const PAGE_SIZE = "20";

export function DeadLetters({ reason, cursors }: { reason: string; cursors: string[] }): JSX.Element {
  const { result, isLoading, reload } = useLoaded(useLoad(reason, cursors.at(-1) ?? null));
  const page = result?.ok ? result.body : null;
  const isEmpty = page?.dead_letters.length === 0;
  return (
    <section class="panel" aria-labelledby="dead-letters-title" aria-busy={isLoading}>
      <div class="title">
        <h2 id="dead-letters-title">Dead letters</h2>
        <ReasonFilter
          reason={reason}
          onChange={(chosen) => goTo({ name: "dead-letters", reason: chosen, cursors: [] })}
        />
        <button type="button" onClick={reload}>
          Refresh
        </button>
      </div>
      <p role="status" aria-label="Dead letters" class={result?.ok === false ? "bad" : ""}>
        {statusMessage(result)}
      </p>
      <ol class="cards">
        {page?.dead_letters.map((deadLetter) => (
          <DeadLetterCard key={`${deadLetter.partition}.${deadLetter.offset}`} deadLetter={deadLetter} />
        ))}
      </ol>
      <Pager
        label="Pages of dead letters"
        cursors={cursors}
        next={page?.next_cursor ?? null}
        linkTo={(passed) => fragmentOf({ name: "dead-letters", reason, cursors: passed })}
        older={isEmpty ? "Search older" : "Older"}
      />
    </section>
  );
}

function useLoad(reason: string, cursor: string | null): Load<DeadLetterPage> {
  const api = useApi();
  return useCallback(
    (signal) =>
      firstNonEmptyPage(
        (from) => api.get(withQuery("dead-letters", { reason, cursor: from, limit: PAGE_SIZE }), signal),
        cursor,
      ),
    [api, reason, cursor],
  );
}

function statusMessage(result: Result<DeadLetterPage> | null): string {
  if (!result) return "Loading …";
  if (!result.ok) return failureMessage(result, DEAD_LETTERS);
  const { dead_letters, next_cursor } = result.body;
  if (dead_letters.length > 0) return "";
  return next_cursor === null ? "No dead letters match." : "No match so far; there are older dead letters.";
}

function ReasonFilter({ reason, onChange }: { reason: string; onChange: (chosen: string) => void }): JSX.Element {
  return (
    <label class="inline">
      Reason
      <select value={reason} onChange={(event) => onChange(event.currentTarget.value)}>
        <option value="">all</option>
        {REASONS.map((each) => (
          <option key={each} value={each}>
            {each}
          </option>
        ))}
      </select>
    </label>
  );
}

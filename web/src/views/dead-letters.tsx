import type { JSX } from "preact";
import { useCallback, useState } from "preact/hooks";
import { withQuery, type Result } from "../api";
import { REASONS } from "../commands";
import { useApi } from "../context";
import { useLoaded, usePaging, type Load } from "../hooks";
import { firstFilled } from "../search";
import { DEAD_LETTERS, reason as refused } from "../sentences";
import type { DeadLetterPage } from "../types";
import { DeadLetterCard } from "./dead-letter";
import { Pager } from "./parts";

const PAGE_LETTERS = "20";

export function DeadLetters(): JSX.Element {
  const paging = usePaging();
  const [reason, setReason] = useState("");
  const { result, isLoading, reload } = useLoaded(useLoad(reason, paging.cursor));
  const page = result?.ok ? result.body : null;
  const isEmpty = page?.dead_letters.length === 0;
  return (
    <section class="panel" aria-labelledby="letters-title" aria-busy={isLoading}>
      <div class="title">
        <h2 id="letters-title">Dead letters</h2>
        <ReasonFilter
          reason={reason}
          onChange={(chosen) => {
            setReason(chosen);
            paging.first();
          }}
        />
        <button type="button" onClick={reload}>
          Refresh
        </button>
      </div>
      <p role="status" aria-label="Dead letters" class={result?.ok === false ? "bad" : ""}>
        {isLoading ? "Loading …" : sentence(result)}
      </p>
      <ol class="cards">
        {page?.dead_letters.map((letter) => (
          <DeadLetterCard key={`${letter.partition}.${letter.offset}`} letter={letter} />
        ))}
      </ol>
      <Pager
        label="Pages of dead letters"
        paging={paging}
        next={page?.next_cursor ?? null}
        older={isEmpty ? "Keep looking" : "Older"}
      />
    </section>
  );
}

function useLoad(reason: string, cursor: string | null): Load<DeadLetterPage> {
  const api = useApi();
  return useCallback(
    (signal) =>
      firstFilled(
        (from) => api.get(withQuery("dead-letters", { reason, cursor: from, limit: PAGE_LETTERS }), signal),
        cursor,
      ),
    [api, reason, cursor],
  );
}

function sentence(result: Result<DeadLetterPage> | null): string {
  if (!result) return "";
  if (!result.ok) return refused(result, DEAD_LETTERS);
  const { dead_letters, next_cursor } = result.body;
  if (dead_letters.length > 0) return "";
  return next_cursor === null ? "There are no such dead letters." : "None yet among those looked through.";
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

import type { JSX } from "preact";
import { useCallback } from "preact/hooks";
import { withQuery, type Result } from "../api";
import { useApi } from "../context";
import { useLoaded, type Load } from "../hooks";
import { DEAD_LETTERS, failureMessage } from "../messages";
import { NO_FILTER, fragmentOf, goTo, type Coordinates, type DeadLetterFilter } from "../route";
import { firstNonEmptyPage } from "../search";
import type { DeadLetterPage } from "../types";
import { DeadLetterDetail } from "./dead-letter";
import { DeadLetterFilters } from "./dead-letter-filters";
import { DeadLetterTable } from "./dead-letter-table";
import { DeadLettersOff } from "./dead-letters-off";
import { Pager } from "./parts";
import { ReasonChart } from "./reason-chart";

const PAGE_SIZE = "50";
const DISABLED = 404;

interface DeadLettersProps {
  filter: DeadLetterFilter;
  cursors: string[];
  selected: Coordinates | null;
}

export function DeadLetters({ filter, cursors, selected }: DeadLettersProps): JSX.Element {
  const { result, lastSuccess, isLoading, reload } = useLoaded(useLoad(filter, cursors.at(-1) ?? null));
  const page = lastSuccess?.body ?? null;
  const isOff = result?.ok === false && result.status === DISABLED;
  const filterBy = (changed: Partial<DeadLetterFilter>) =>
    goTo({ name: "dead-letters", filter: { ...filter, ...changed }, cursors: [], selected: null });
  return (
    <>
      <section class="panel" aria-labelledby="dead-letters-title" aria-busy={isLoading}>
        <div class="title">
          <h2 id="dead-letters-title">Dead letters</h2>
          <button type="button" onClick={reload}>
            Refresh
          </button>
        </div>
        {!isOff && <ReasonChart since={filter.since} reason={filter.reason} onChoose={(reason) => filterBy({ reason })} />}
        {!isOff && <DeadLetterFilters key={JSON.stringify(filter)} filter={filter} onChange={filterBy} />}
        <p role="status" aria-label="Dead letters" class={result?.ok === false ? "bad" : "hint"}>
          {statusMessage(result)}
        </p>
        {isOff && <DeadLettersOff />}
        {page && isEmpty(page) && page.next_cursor === null && <NoDeadLetters filter={filter} />}
        {page && !isEmpty(page) && (
          <DeadLetterTable
            deadLetters={page.dead_letters}
            selected={selected}
            linkTo={(chosen) => fragmentOf({ name: "dead-letters", filter, cursors, selected: chosen })}
          />
        )}
        <Pager
          label="Pages of dead letters"
          cursors={cursors}
          next={page?.next_cursor ?? null}
          linkTo={(passed) => fragmentOf({ name: "dead-letters", filter, cursors: passed, selected: null })}
          older={page && isEmpty(page) ? "Search older" : "Older"}
        />
      </section>
      {selected && !isOff && <DeadLetterDetail key={`${selected.partition}.${selected.offset}`} {...selected} />}
    </>
  );
}

function NoDeadLetters({ filter }: { filter: DeadLetterFilter }): JSX.Element {
  const isFiltered = Object.values(filter).some((value) => value !== "");
  return (
    <p class="empty hint">
      {isFiltered ? (
        <a href={fragmentOf({ name: "dead-letters", filter: NO_FILTER, cursors: [], selected: null })}>
          Show all dead letters
        </a>
      ) : (
        "Messages that cannot be stored as orders appear here, with the reason. There is nothing to repair."
      )}
    </p>
  );
}

function useLoad(filter: DeadLetterFilter, cursor: string | null): Load<DeadLetterPage> {
  const api = useApi();
  const { reason, since, order, text } = filter;
  return useCallback(
    (signal) =>
      firstNonEmptyPage(
        (from) =>
          api.get(withQuery("dead-letters", { reason, since, order, text, cursor: from, limit: PAGE_SIZE }), signal),
        cursor,
      ),
    [api, reason, since, order, text, cursor],
  );
}

function isEmpty({ dead_letters }: DeadLetterPage): boolean {
  return dead_letters.length === 0;
}

function statusMessage(result: Result<DeadLetterPage> | null): string {
  if (!result) return "Loading …";
  if (!result.ok) return failureMessage(result, DEAD_LETTERS);
  if (!isEmpty(result.body)) return "";
  return result.body.next_cursor === null ? "No dead letters match." : "No match so far; there are older dead letters.";
}

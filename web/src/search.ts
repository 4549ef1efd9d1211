import type { Result } from "./api";
import type { DeadLetterPage } from "./types";

const MAX_PAGES = 5;

/** Skip empty pages, up to a limit: a filter may match nothing for many pages. */
export async function firstNonEmptyPage(
  load: (cursor: string | null) => Promise<Result<DeadLetterPage>>,
  from: string | null,
): Promise<Result<DeadLetterPage>> {
  let result = await load(from);
  for (let pages = 1; pages < MAX_PAGES && result.ok && isEmpty(result.body); pages += 1) {
    result = await load(result.body.next_cursor);
  }
  return result;
}

/** Return whether the page is empty and not the last one. */
function isEmpty({ dead_letters, next_cursor }: DeadLetterPage): boolean {
  return dead_letters.length === 0 && next_cursor !== null;
}

import type { Result } from "./api";
import type { DeadLetterPage } from "./types";

const MOST_PAGES = 5;

/** Go on past pages that hold no dead letter, up to a limit; a filter may leave long stretches empty. */
export async function firstFilled(
  load: (cursor: string | null) => Promise<Result<DeadLetterPage>>,
  from: string | null,
): Promise<Result<DeadLetterPage>> {
  let result = await load(from);
  for (let pages = 1; pages < MOST_PAGES && result.ok && isEmpty(result.body); pages += 1) {
    result = await load(result.body.next_cursor);
  }
  return result;
}

/** Whether the page holds nothing and there are further ones. */
function isEmpty({ dead_letters, next_cursor }: DeadLetterPage): boolean {
  return dead_letters.length === 0 && next_cursor !== null;
}

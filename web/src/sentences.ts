import type { Answer, Refusal, Result } from "./api";
import { duration } from "./format";
import { isOrderId } from "./route";

export interface Subject {
  /** What a 404 means here. */
  missing: string;
  /** What a 403 means here. */
  forbidden: string;
  /** What a 422 means here. */
  malformed: string;
}

export const ID_RULE = "An order id is 1 to 64 letters, digits, hyphens or underscores.";

export const ORDER: Subject = {
  missing: "There is no order with this id.",
  forbidden: "The API key does not allow reading orders.",
  malformed: ID_RULE,
};

export const ORDERS: Subject = { ...ORDER, missing: "There are no such orders.", malformed: "A filter is not valid." };

export const DEAD_LETTERS: Subject = {
  missing: "Dead letters hold personal data and are served only where API keys are on.",
  forbidden: "The API key lacks the scope dead-letters.",
  malformed: "A filter is not valid.",
};

export const FIGURES: Subject = {
  missing: "The service does not tell this.",
  forbidden: "The API key does not allow reading this.",
  malformed: "The service does not tell this.",
};

/** Say why a request was refused, in one sentence. */
export function reason(refusal: Refusal, subject: Subject): string {
  switch (refusal.status) {
    case 0:
      return "The service can't be reached.";
    case 401:
      return "An API key is needed.";
    case 403:
      return subject.forbidden;
    case 404:
      return subject.missing;
    case 422:
      return subject.malformed;
    case 503:
      return `Not available now: ${refusal.detail || refusal.title}.${again(refusal)}`;
    default:
      return `The request failed: ${refusal.status} ${refusal.detail || refusal.title}${request(refusal)}.`;
  }
}

/** Say how a look-up stands: `id` is null while none is asked for, `result` until there is one. */
export function lookUpSentence(id: string | null, result: Result<unknown> | null): string {
  if (id === null) return "";
  if (!isOrderId(id)) return ID_RULE;
  if (!result) return "Looking up …";
  return result.ok ? found(result) : reason(result, ORDER);
}

export function isHit({ headers }: Answer<unknown>): boolean {
  return headers.get("x-cache") === "hit";
}

function found(answer: Answer<unknown>): string {
  return `Found in ${isHit(answer) ? "memory" : "the database"} in ${duration(answer.milliseconds)}.`;
}

function again({ retryAfter }: Refusal): string {
  return retryAfter > 0 ? ` Try again in ${retryAfter} s.` : "";
}

function request({ requestId }: Refusal): string {
  return requestId ? ` (request ${requestId})` : "";
}

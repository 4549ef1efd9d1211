import type { Success, Failure, Result } from "./api";
import { duration } from "./format";
import { isOrderId } from "./route";

/** Messages for statuses whose meaning depends on the request. */
export interface StatusMessages {
  /** 404 */
  missing: string;
  /** 403 */
  forbidden: string;
  /** 422 */
  malformed: string;
}

/** The problem of an erased order. Only its history has it. */
export const ERASED = "urn:orders:problem:order-erased";

export const ID_RULE = "An order UID has 1 to 64 letters, digits, hyphens or underscores.";

export const NOTHING_FOUND = "No order UID, track number or customer id equals this text. Upper and lower case differ.";

export const ORDER: StatusMessages = {
  missing: "No order with this UID.",
  forbidden: "The API key lacks the scope read.",
  malformed: ID_RULE,
};

export const ORDERS: StatusMessages = { ...ORDER, missing: "No orders match.", malformed: "Invalid filter." };

export const DEAD_LETTERS: StatusMessages = {
  missing: "Dead letters contain personal data: configure API keys to enable this view.",
  forbidden: "The API key lacks the scope dead-letters.",
  malformed: "Invalid filter.",
};

export const DEAD_LETTER: StatusMessages = {
  ...DEAD_LETTERS,
  missing: "This dead letter does not exist. The topic's retention may have deleted it.",
};

export const REPLAY: StatusMessages = {
  ...DEAD_LETTERS,
  forbidden: "The API key lacks the scope replay. Use a key with the scopes read,dead-letters,replay.",
  malformed: "The API does not accept this request.",
};

export const STATISTICS: StatusMessages = {
  missing: "The service does not report this.",
  forbidden: "The API key lacks the scope read.",
  malformed: "The service does not report this.",
};

/** Return one sentence that explains the failure. */
export function failureMessage(failure: Failure, messages: StatusMessages): string {
  switch (failure.status) {
    case 0:
      return "Cannot reach the service.";
    case 401:
      return "An API key is required.";
    case 403:
      return messages.forbidden;
    case 404:
      return failure.type === ERASED ? `Not stored: ${failure.detail}.` : messages.missing;
    case 422:
      return messages.malformed;
    case 503:
      return `Temporarily unavailable: ${failure.detail || failure.title}.${retryHint(failure)}`;
    default:
      return `The request failed: ${failure.status} ${failure.detail || failure.title}${requestHint(failure)}.`;
  }
}

/** Describe the state of a lookup. `result` is null while it runs. */
export function lookUpMessage(id: string, result: Result<unknown> | null): string {
  if (!isOrderId(id)) return ID_RULE;
  if (!result) return "Looking up …";
  return result.ok ? foundMessage(result) : failureMessage(result, ORDER);
}

/** Describe the state of a search. `result` is null while it runs. */
export function searchMessage(result: Result<unknown[]> | null): string {
  if (!result) return "Searching …";
  if (!result.ok) return failureMessage(result, ORDERS);
  return result.body.length > 0 ? "" : NOTHING_FOUND;
}

function isHit({ headers }: Success<unknown>): boolean {
  return headers.get("x-cache") === "hit";
}

function foundMessage(response: Success<unknown>): string {
  return `Found in ${isHit(response) ? "memory" : "the database"} in ${duration(response.milliseconds)}.`;
}

function retryHint({ retryAfter }: Failure): string {
  return retryAfter > 0 ? ` Try again in ${retryAfter} s.` : "";
}

function requestHint({ requestId }: Failure): string {
  return requestId ? ` (request ${requestId})` : "";
}

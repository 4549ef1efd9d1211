import { expect, test } from "vitest";
import type { Success } from "../src/api";
import { DEAD_LETTERS, ID_RULE, lookUpMessage, ORDER, failureMessage } from "../src/messages";
import { failure } from "./failures";

function found(cache: string): Success<unknown> {
  return { ok: true, body: {}, text: "{}", headers: new Headers({ "x-cache": cache }), milliseconds: 3 };
}

test("the message follows the state of the lookup", () => {
  expect(lookUpMessage("a b", null)).toBe(ID_RULE);
  expect(lookUpMessage("a1", null)).toBe("Looking up …");
  expect(lookUpMessage("a1", found("hit"))).toBe("Found in memory in 3 ms.");
  expect(lookUpMessage("a1", found("miss"))).toBe("Found in the database in 3 ms.");
  expect(lookUpMessage("a1", failure(404))).toBe("No order with this UID.");
});

test("a 503 says when to try again", () => {
  const unavailable = failure(503, { detail: "the database is unreachable", retryAfter: 2 });
  expect(failureMessage(unavailable, ORDER)).toBe("Temporarily unavailable: the database is unreachable. Try again in 2 s.");
  expect(failureMessage(failure(503, { title: "Service Unavailable" }), ORDER)).toBe("Temporarily unavailable: Service Unavailable.");
});

test("any other failure has the request id, for a search in the logs", () => {
  const failed = failure(500, { detail: "the request failed", requestId: "r1" });
  expect(failureMessage(failed, ORDER)).toBe("The request failed: 500 the request failed (request r1).");
});

test("the meaning of a failure depends on the request", () => {
  expect(failureMessage(failure(404), DEAD_LETTERS)).toBe(DEAD_LETTERS.missing);
  expect(failureMessage(failure(403), DEAD_LETTERS)).toBe(DEAD_LETTERS.forbidden);
  expect(failureMessage(failure(401), DEAD_LETTERS)).toBe("An API key is required.");
  expect(failureMessage(failure(0), DEAD_LETTERS)).toBe("Cannot reach the service.");
});

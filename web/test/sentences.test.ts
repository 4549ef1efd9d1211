import { expect, test } from "vitest";
import type { Answer } from "../src/api";
import { DEAD_LETTERS, ID_RULE, lookUpSentence, ORDER, reason } from "../src/sentences";
import { refusal } from "./refusals";

function found(cache: string): Answer<unknown> {
  return { ok: true, body: {}, text: "{}", headers: new Headers({ "x-cache": cache }), milliseconds: 3 };
}

test("a look-up says how it stands", () => {
  expect(lookUpSentence(null, null)).toBe("");
  expect(lookUpSentence("a b", null)).toBe(ID_RULE);
  expect(lookUpSentence("a1", null)).toBe("Looking up …");
  expect(lookUpSentence("a1", found("hit"))).toBe("Found in memory in 3 ms.");
  expect(lookUpSentence("a1", found("miss"))).toBe("Found in the database in 3 ms.");
  expect(lookUpSentence("a1", refusal(404))).toBe("There is no order with this id.");
});

test("an outage says when to try again", () => {
  const away = refusal(503, { detail: "the database is away", retryAfter: 2 });
  expect(reason(away, ORDER)).toBe("Not available now: the database is away. Try again in 2 s.");
  expect(reason(refusal(503, { title: "Service Unavailable" }), ORDER)).toBe("Not available now: Service Unavailable.");
});

test("any other refusal names the request, for who reads the logs", () => {
  const failed = refusal(500, { detail: "the request failed", requestId: "r1" });
  expect(reason(failed, ORDER)).toBe("The request failed: 500 the request failed (request r1).");
});

test("what a refusal means depends on what was asked for", () => {
  expect(reason(refusal(404), DEAD_LETTERS)).toBe(DEAD_LETTERS.missing);
  expect(reason(refusal(403), DEAD_LETTERS)).toBe(DEAD_LETTERS.forbidden);
  expect(reason(refusal(401), DEAD_LETTERS)).toBe("An API key is needed.");
  expect(reason(refusal(0), DEAD_LETTERS)).toBe("The service can't be reached.");
});

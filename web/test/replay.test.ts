import { expect, test } from "vitest";
import type { Result } from "../src/api";
import { JsonSyntaxError } from "../src/json-tree";
import { mayHaveBeenSent, newRequestKey, rangeOf, replayBody, syntaxViolation, validationOf, violationsIn } from "../src/replay";
import type { ReplayResponse } from "../src/types";
import { deadLetter } from "./dead-letters";
import { failure } from "./failures";

const LETTER = deadLetter({ partition: 3, offset: 15 });

function response(more: Partial<ReplayResponse["dead_letters"][number]>): Result<ReplayResponse> {
  const only = { partition: 3, offset: 15, outcome: "would-be-sent" as const, refusal: null, detail: null, ...more };
  const body = { dry_run: true, sent: 0, refused: 0, dead_letters: [only] };
  return { ok: true, body, text: "", headers: new Headers(), milliseconds: 1 };
}

test("an edited value is sent with all its digits", () => {
  const body = replayBody({ deadLetter: LETTER, value: '{"a": 9223372036854775807}', dryRun: true });
  expect(body).toBe('{"dead_letters":[{"partition":3,"offset":15}],"dry_run":true,"value":{"a": 9223372036854775807}}');
});

test("without an edit the original is sent", () => {
  const body = replayBody({ deadLetter: LETTER, value: null, dryRun: false });
  expect(body).toBe('{"dead_letters":[{"partition":3,"offset":15}],"dry_run":false}');
});

test("a value cannot add members to the request", () => {
  expect(() => replayBody({ deadLetter: LETTER, value: '{},"dry_run":false', dryRun: true })).toThrow(JsonSyntaxError);
});

test("request keys are visible ASCII and differ", () => {
  expect(newRequestKey()).toMatch(/^[0-9a-f]{32}$/);
  expect(newRequestKey()).not.toBe(newRequestKey());
});

test("an error of the syntax has its line and column", () => {
  expect(syntaxViolation('{\n  "a" 1}')).toEqual({ path: "line 2, column 7", rule: "a colon is expected" });
  expect(syntaxViolation("{}")).toBeNull();
});

test("a detail lists violations with or without a path", () => {
  expect(violationsIn("items[0].price: is missing; malformed JSON: byte 3")).toEqual([
    { path: "items[0].price", rule: "is missing" },
    { path: "", rule: "malformed JSON: byte 3" },
  ]);
});

test("a violation's range is the value at the path, the object around a missing one, or the syntax error", () => {
  const text = '{"payment": {"amount": "x"}}';
  const selected = (path: string) => text.slice(...rangeOf(text, path));
  expect(selected("payment.amount")).toBe('"x"');
  expect(selected("payment.bank")).toBe('{"amount": "x"}');
  expect(rangeOf('{"a" 1}', "line 1, column 6")).toEqual([5, 6]);
});

test("violations have the paths of the document", () => {
  const errors = [
    { in: "body", name: "value.payment.amount", rule: "is missing" },
    { in: "body", name: "value", rule: "Expected object" },
  ];
  expect(validationOf(failure(422, { body: { errors } }))).toEqual({
    kind: "invalid",
    violations: [
      { path: "payment.amount", rule: "is missing" },
      { path: "", rule: "Expected object" },
    ],
  });
});

test("a refusal, a missing scope and an outage are different", () => {
  expect(validationOf(response({}))).toEqual({ kind: "possible" });
  const refused = response({ outcome: "refused", refusal: "no-origin", detail: "3/15 has no origin headers" });
  expect(validationOf(refused)).toEqual({ kind: "refused", message: "3/15 has no origin headers." });
  expect(validationOf(failure(403))).toMatchObject({ kind: "refused", message: expect.stringContaining("scope replay") });
  expect(validationOf(failure(503, { detail: "no Kafka" }))).toMatchObject({ kind: "unchecked" });
  expect(validationOf(failure(0))).toMatchObject({ kind: "unchecked" });
});

// 409: the first request with this key is still running, because the page stops waiting before the API does.
test.each([0, 409, 500, 503])("a replay that failed with %d may have been sent", (status) => {
  expect(mayHaveBeenSent(failure(status))).toBe(true);
});

test.each([400, 401, 403, 404, 413, 422])("a replay that failed with %d was not sent", (status) => {
  expect(mayHaveBeenSent(failure(status))).toBe(false);
});

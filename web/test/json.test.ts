import { expect, test } from "vitest";
import { parseLossless } from "../src/json";

test("integers of more than 15 digits become strings with all digits", () => {
  expect(parseLossless('{"amount":9223372036854775807,"list":[-1234567890123456]}')).toEqual({
    amount: "9223372036854775807",
    list: ["-1234567890123456"],
  });
});

test("other numbers stay numbers", () => {
  const json = '[0,-1,999999999999999,0.1234567890123456789,1e30,1.5E-7]';
  expect(parseLossless(json)).toEqual(JSON.parse(json));
});

test("digits within strings are unchanged, whatever is escaped around them", () => {
  const texts = { "9223372036854775807": '"9223372036854775807\\', next: "\\", last: ':1234567890123456789,"' };
  expect(parseLossless(JSON.stringify(texts))).toEqual(texts);
});

test("invalid JSON throws", () => {
  expect(() => parseLossless("<html>")).toThrow(SyntaxError);
  expect(() => parseLossless('{"a":12345678901234567890-1}')).toThrow(SyntaxError);
});

import { expect, test } from "vitest";
import { JsonSyntaxError, findPaths, parseTree, pathsOf, pretty } from "../src/json-tree";

const ORDER = '{"a": 1, "payment": {"amount": 9223372036854775807}, "items": [{"price": "x"}, {}], "a": 2}';

function marked(text: string, detail: string): string[] {
  return [...findPaths(parseTree(text), pathsOf(detail))].map(({ start, end }) => text.slice(start, end));
}

function errorPosition(text: string): number | null {
  try {
    parseTree(text);
    return null;
  } catch (error) {
    return (error as JsonSyntaxError).position;
  }
}

test("the paths of a detail lead to the bytes that violate a rule", () => {
  expect(marked(ORDER, "payment.amount: Expected int; items[0].price: Expected int, got str")).toEqual([
    "9223372036854775807",
    '"x"',
  ]);
});

test("a missing field leads to the object that lacks it", () => {
  expect(marked(ORDER, "items[1].rid: is missing")).toEqual(["{}"]);
  expect(marked(ORDER, "entry: is missing")).toEqual([ORDER]);
});

test("of a repeated key the last one counts", () => {
  expect(marked(ORDER, "a: Expected str")).toEqual(["2"]);
});

test("a detail without a path marks nothing", () => {
  expect(pathsOf("malformed JSON")).toEqual([]);
});

test.each([
  ["", 0],
  ['{"a": 1,}', 8],
  ['{"a" 1}', 5],
  ["[1 2]", 3],
  ["01", 1],
  ['{"a": "b\nc"}', 6],
  ["{} x", 3],
  ["[".repeat(1_000), 201],
])("%j breaks the syntax at a position", (text, position) => {
  expect(errorPosition(text)).toBe(position);
});

test("formatting keeps digits, repeated keys and escapes", () => {
  expect(pretty('{"a":12345678901234567890,"b":["\\u0041",1.50],"a":{}}')).toBe(
    '{\n  "a": 12345678901234567890,\n  "b": [\n    "\\u0041",\n    1.50\n  ],\n  "a": {}\n}',
  );
});

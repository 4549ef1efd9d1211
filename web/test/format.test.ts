import { expect, test } from "vitest";
import { age, duration, fromIso, fromUnix, money, percent, rate, sum, utcTime, integer } from "../src/format";

/** Replaces the no-break spaces of Intl by spaces. */
function plain(text: string): string {
  return text.replaceAll("\u00a0", " ");
}

test.each([
  [1817, "USD", "USD 18.17"],
  [5, "USD", "USD 0.05"],
  [0, "EUR", "EUR 0.00"],
  [1817, "JPY", "JPY 1,817"],
  [1817, "KWD", "KWD 1.817"],
  ["9223372036854775807", "USD", "USD 92,233,720,368,547,758.07"],
  ["9223372036854775807", "JPY", "JPY 9,223,372,036,854,775,807"],
])("%s minor units of %s are %s", (minor, currency, text) => {
  expect(plain(money(minor, currency, "en"))).toBe(text);
});

test("an unknown currency is shown with its code", () => {
  expect(plain(money(1817, "XQZ", "en"))).toBe("XQZ 18.17");
});

test("an invalid currency code is shown after the minor units", () => {
  expect(money(1817, "?", "en")).toBe("1817 ?");
});

test("sums keep all digits", () => {
  expect(sum(["9223372036854775807", 1, 2])).toBe("9223372036854775810");
  expect(sum([])).toBe("0");
});

test("numbers are grouped and rounded", () => {
  expect(integer(1234567, "en")).toBe("1,234,567");
  expect(rate(41.84, "en")).toBe("41.8");
  expect(rate(12345.6, "en")).toBe("12,346");
  expect(percent(0.97151, "en")).toBe("97.2%");
  expect(duration(3.14159, "en")).toBe("3.1 ms");
  expect(duration(1234.5, "en")).toBe("1,235 ms");
});

test.each([
  [0, "0 s"],
  [0.74, "0.7 s"],
  [119, "119 s"],
  [120, "2 min"],
  [7_199, "119 min"],
  [7_200, "2 h"],
  [172_800, "2 d"],
])("an age of %s seconds is %s", (seconds, text) => {
  expect(age(seconds, "en")).toBe(text);
});

test("times outside the range of Date are null", () => {
  expect(fromUnix("9223372036854775807")).toBeNull();
  expect(fromIso("yesterday")).toBeNull();
});

test("UTC times drop fractions of a second", () => {
  const time = fromIso("2021-11-26T06:22:19.123456Z");
  expect(time && utcTime(time)).toBe("2021-11-26 06:22:19 UTC");
});

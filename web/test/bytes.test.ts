import { expect, test } from "vitest";
import { asHex, asText, firstInvalidByte, fromBase64 } from "../src/bytes";

const bytes = (text: string) => new TextEncoder().encode(text);

test("base64 is decoded to bytes", () => {
  expect([...fromBase64("AP+A")]).toEqual([0, 255, 128]);
  expect(fromBase64("")).toHaveLength(0);
});

test("control and invisible characters are made visible", () => {
  expect(asText(bytes('{"a":"\u0000\u202e\ufeff"}\r\n'), false)).toBe(
    '{"a":"⟨U+0000⟩⟨U+202E⟩⟨U+FEFF⟩"}⟨U+000D⟩↵\n',
  );
});

test("a byte order mark is shown", () => {
  expect(asText(bytes("\ufeffa"), false)).toBe("⟨U+FEFF⟩a");
});

test("markup stays text", () => {
  expect(asText(bytes("<b>é</b>"), false)).toBe("<b>é</b>");
});

test("bytes that are not UTF-8 have no text", () => {
  expect(asText(Uint8Array.of(0xff, 0xfe), false)).toBeNull();
});

test("an incomplete last character is an error only if the bytes are complete", () => {
  const cut = bytes("aé").subarray(0, 2);
  expect(asText(cut, true)).toBe("a");
  expect(asText(cut, false)).toBeNull();
});

test("hex lines have sixteen bytes, and a shorter last line is aligned", () => {
  expect(asHex(bytes("0123456789abcdef\u0000~\u007f")).split("\n")).toEqual([
    "000000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  0123456789abcdef",
    "000010  00 7e 7f                                         .~.",
  ]);
});

test.each([
  [[0x61, 0xff, 0x62], 1],
  [[0xff], 0],
  [[0x61, 0xc3, 0xa4], 3],
  [[], 0],
])("the first byte of %j that is not UTF-8 is at %i", (bytes, offset) => {
  expect(firstInvalidByte(Uint8Array.from(bytes))).toBe(offset);
});

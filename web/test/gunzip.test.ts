import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { gunzip, isGzip } from "../src/gunzip";

const compressed = (text: string) => Uint8Array.from(gzipSync(text));
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

test("gzip is recognized by its first two bytes", () => {
  expect(isGzip(compressed("a"))).toBe(true);
  expect(isGzip(Uint8Array.of(0x1f))).toBe(false);
  expect(isGzip(Uint8Array.of())).toBe(false);
});

test("a value is decompressed", async () => {
  const found = await gunzip(compressed('{"a":1}'));
  expect(text(found.bytes)).toBe('{"a":1}');
  expect(found.isWhole).toBe(true);
});

test("a value of exactly the limit is whole, and of a longer one the beginning is returned", async () => {
  expect(await gunzip(compressed("ab"), 2)).toMatchObject({ isWhole: true });
  const longer = await gunzip(compressed("abc"), 2);
  expect(text(longer.bytes)).toBe("ab");
  expect(longer.isWhole).toBe(false);
});

test("a bomb is not decompressed whole", async () => {
  const found = await gunzip(Uint8Array.from(gzipSync(Buffer.alloc(50_000_000))), 1_000);
  expect(found.bytes).toHaveLength(1_000);
  expect(found.bytes.buffer.byteLength).toBeLessThan(1_000_000);
  expect(found.isWhole).toBe(false);
});

test("malformed and incomplete values are not whole", async () => {
  expect((await gunzip(Uint8Array.of(0x1f, 0x8b, 1, 2))).isWhole).toBe(false);
  const incomplete = compressed("a".repeat(1_000)).subarray(0, -9);
  expect((await gunzip(incomplete)).isWhole).toBe(false);
});

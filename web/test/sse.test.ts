import { expect, test } from "vitest";
import { EventParser, type ServerEvent } from "../src/sse";

const TEXT = [
  "retry: 2000\n\n",
  ": heartbeat\n\n",
  'id: 1-1\nevent: stored\ndata: {"order_uid":"é1"}\n\n',
  "id: 1-2\r\nevent: replaced\r\ndata: a\r\ndata: b\r\n\r\n",
  "event: reset\ndata\n\n",
].join("");
const EVENTS: ServerEvent[] = [
  { id: "1-1", kind: "stored", data: '{"order_uid":"é1"}' },
  { id: "1-2", kind: "replaced", data: "a\nb" },
  { id: "1-2", kind: "reset", data: "" },
];

function parse(...pieces: Uint8Array[]): ServerEvent[] {
  const parser = new EventParser();
  const decoder = new TextDecoder();
  return pieces.flatMap((piece) => parser.push(decoder.decode(piece, { stream: true })));
}

test("events are the same, however the bytes are split", () => {
  const bytes = new TextEncoder().encode(TEXT);
  for (let at = 0; at <= bytes.length; at += 1) {
    expect(parse(bytes.subarray(0, at), bytes.subarray(at))).toEqual(EVENTS);
  }
  expect(parse(...[...bytes].map((byte) => Uint8Array.of(byte)))).toEqual(EVENTS);
});

test("an event without a name is a message, and one space after the colon is not part of the value", () => {
  expect(new EventParser().push("data:  x\n\ndata:y\n\n")).toEqual([
    { id: "", kind: "message", data: " x" },
    { id: "", kind: "message", data: "y" },
  ]);
});

test("a block without data is not an event, but sets the last id", () => {
  const parser = new EventParser("1-1");
  expect(parser.push("id: 1-2\nevent: stored\n\n")).toEqual([]);
  expect(parser.lastId).toBe("1-2");
});

test("an incomplete event does not set the last id", () => {
  const parser = new EventParser("1-1");
  parser.push("id: 1-2\ndata: x\n");
  expect(parser.lastId).toBe("1-1");
});

test("unknown fields, ids with NUL and a non-numeric retry are ignored", () => {
  const parser = new EventParser("1-1");
  expect(parser.push("color: red\nid: a\0b\nretry: soon\ndata: x\n\n")).toEqual([
    { id: "1-1", kind: "message", data: "x" },
  ]);
  expect(parser.retry).toBeNull();
});

test("the server's retry is parsed", () => {
  const parser = new EventParser();
  parser.push("retry: 2000\n\n");
  expect(parser.retry).toBe(2_000);
});

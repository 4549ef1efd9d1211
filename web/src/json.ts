/** A parsed document in which integers of more than 15 digits are strings: JavaScript numbers would lose digits. */
export type Lossless<T> = T extends number
  ? number | string
  : T extends object
    ? { [Key in keyof T]: Lossless<T[Key]> }
    : T;

const TEXT_OR_NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g;
const LONG_INTEGER = /^-?\d{16,}$/;

/** Parse JSON. Integers of more than 15 digits become strings. Throws SyntaxError. */
export function parseLossless(json: string): unknown {
  return JSON.parse(json.replace(TEXT_OR_NUMBER, (token) => (LONG_INTEGER.test(token) ? `"${token}"` : token)));
}

/** Return the order_uid of a JSON document, or null. */
export function uidOf(text: string): string | null {
  try {
    const uid = (JSON.parse(text) as { order_uid?: unknown } | null)?.order_uid;
    return typeof uid === "string" ? uid : null;
  } catch {
    return null;
  }
}

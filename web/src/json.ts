/** A document whose integers may have come as text, since a number of JavaScript holds 15 digits for sure. */
export type Lossless<T> = T extends number
  ? number | string
  : T extends object
    ? { [Key in keyof T]: Lossless<T[Key]> }
    : T;

const TEXT_OR_NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g;
const LONG_INTEGER = /^-?\d{16,}$/;

/** Parse JSON; integers of more than 15 digits become strings. Throws SyntaxError. */
export function parseLossless(json: string): unknown {
  return JSON.parse(json.replace(TEXT_OR_NUMBER, (token) => (LONG_INTEGER.test(token) ? `"${token}"` : token)));
}

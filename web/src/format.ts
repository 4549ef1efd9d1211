/** A whole number as it came from the API: text where a number would lose digits. */
export type Whole = number | string;

export const NOTHING = "–";

// Made once: rows of the feed are formatted many times a second.
const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const LOCAL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const currencies = new Map<string, Intl.NumberFormat>();

/** Format an amount of whole minor units, by the currency's number of minor digits. */
export function money(minor: Whole, currency: string, locale?: string): string {
  const format = currencyFormat(currency, locale);
  if (!format) return `${minor} ${currency}`;
  // The decimal goes in as text: a number would lose digits beyond 2^53.
  return format.format(decimal(minor, format.resolvedOptions().maximumFractionDigits ?? 0));
}

export function sum(amounts: Whole[]): string {
  return amounts.reduce<bigint>((total, amount) => total + BigInt(amount), 0n).toString();
}

export function whole(value: number, locale?: string): string {
  return new Intl.NumberFormat(locale, { maximumFractionDigits: 0 }).format(value);
}

export function rate(perSecond: number, locale?: string): string {
  return new Intl.NumberFormat(locale, { maximumFractionDigits: perSecond < 100 ? 1 : 0 }).format(perSecond);
}

export function percent(ratio: number, locale?: string): string {
  return new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 1 }).format(ratio);
}

export function duration(milliseconds: number, locale?: string): string {
  const digits = milliseconds < 100 ? 1 : 0;
  return `${new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(milliseconds)} ms`;
}

export function localTime(time: Date): string {
  return LOCAL.format(time);
}

export function clockTime(time: Date): string {
  return CLOCK.format(time);
}

/** The time of the day, with the date unless it is today's. */
export function shortTime(time: Date, now: Date): string {
  return time.toDateString() === now.toDateString() ? clockTime(time) : localTime(time);
}

export function utcTime(time: Date): string {
  return `${time.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** Return the time of Unix seconds, or null when it is beyond what a Date holds. */
export function fromUnix(seconds: Whole): Date | null {
  return valid(new Date(Number(seconds) * 1_000));
}

/** Return the time of an ISO 8601 text, or null when it is none. */
export function fromIso(text: string): Date | null {
  return valid(new Date(text));
}

function valid(time: Date): Date | null {
  return Number.isNaN(time.getTime()) ? null : time;
}

function currencyFormat(currency: string, locale?: string): Intl.NumberFormat | null {
  const name = `${locale} ${currency}`;
  const known = currencies.get(name);
  if (known) return known;
  try {
    const made = new Intl.NumberFormat(locale, { style: "currency", currency, currencyDisplay: "code" });
    currencies.set(name, made);
    return made;
  } catch {
    return null; // not three letters
  }
}

function decimal(minor: Whole, digits: number): Intl.StringNumericLiteral {
  const text = BigInt(minor).toString();
  if (digits === 0) return text as Intl.StringNumericLiteral;
  const padded = text.padStart(digits + 1, "0"); // amounts are never negative
  return `${padded.slice(0, -digits)}.${padded.slice(-digits)}` as Intl.StringNumericLiteral;
}

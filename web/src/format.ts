/** An integer from the API: a string if a JavaScript number would lose digits. */
export type Integer = number | string;

export const NO_VALUE = "–";

// Created once: the feed formats many rows per second.
const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const LOCAL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const currencies = new Map<string, Intl.NumberFormat>();

/** Format an amount in minor units, with the currency's number of decimals. */
export function money(minor: Integer, currency: string, locale?: string): string {
  const format = currencyFormat(currency, locale);
  if (!format) return `${minor} ${currency}`;
  // A string, because a number would lose digits beyond 2^53.
  return format.format(decimal(minor, format.resolvedOptions().maximumFractionDigits ?? 0));
}

export function sum(amounts: Integer[]): string {
  return amounts.reduce<bigint>((total, amount) => total + BigInt(amount), 0n).toString();
}

export function integer(value: number, locale?: string): string {
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

const AGE_UNITS = [
  { name: "d", seconds: 86_400 },
  { name: "h", seconds: 3_600 },
  { name: "min", seconds: 60 },
] as const;

/** Format in the largest unit of which there are at least two. */
export function age(seconds: number, locale?: string): string {
  const unit = AGE_UNITS.find((each) => seconds >= 2 * each.seconds);
  return unit ? `${integer(Math.floor(seconds / unit.seconds), locale)} ${unit.name}` : `${rate(seconds, locale)} s`;
}

export function localTime(time: Date): string {
  return LOCAL.format(time);
}

export function clockTime(time: Date): string {
  return CLOCK.format(time);
}

/** Return the time of day, preceded by the date unless it is today. */
export function shortTime(time: Date, now: Date): string {
  return time.toDateString() === now.toDateString() ? clockTime(time) : localTime(time);
}

export function utcTime(time: Date): string {
  return `${time.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** Return null if the time is outside the range of Date. */
export function fromUnix(seconds: Integer): Date | null {
  return valid(new Date(Number(seconds) * 1_000));
}

/** Parse ISO 8601. Return null if the text is malformed. */
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
    const created = new Intl.NumberFormat(locale, { style: "currency", currency, currencyDisplay: "code" });
    currencies.set(name, created);
    return created;
  } catch {
    return null; // not a currency code
  }
}

function decimal(minor: Integer, digits: number): Intl.StringNumericLiteral {
  const text = BigInt(minor).toString();
  if (digits === 0) return text as Intl.StringNumericLiteral;
  const padded = text.padStart(digits + 1, "0"); // amounts are not negative
  return `${padded.slice(0, -digits)}.${padded.slice(-digits)}` as Intl.StringNumericLiteral;
}

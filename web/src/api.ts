import type { Access } from "./access";
import { parseLossless } from "./json";
import type { Problem } from "./types";

export interface Answer<T> {
  ok: true;
  body: T;
  /** The body as it came. */
  text: string;
  headers: Headers;
  /** From the request to the last byte of the body. */
  milliseconds: number;
}

export interface Refusal {
  ok: false;
  /** 0 when nothing answered. */
  status: number;
  title: string;
  detail: string;
  requestId: string;
  /** Seconds; 0 when the server did not say. */
  retryAfter: number;
  body: unknown;
}

export type Result<T> = Answer<T> | Refusal;

const TIMEOUT_MS = 10_000;
const SILENCE: Refusal = {
  ok: false,
  status: 0,
  title: "No answer",
  detail: "",
  requestId: "",
  retryAfter: 0,
  body: null,
};

export class Api {
  constructor(readonly access: Access) {}

  /** Never rejects: a request that was aborted or took too long is a refusal with status 0. */
  async get<T>(path: string, signal: AbortSignal): Promise<Result<T>> {
    const began = performance.now();
    try {
      const response = await this.open(path, AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]));
      const text = await response.text();
      const milliseconds = performance.now() - began;
      if (!response.ok) return refusal(response, text);
      return { ok: true, body: parseLossless(text) as T, text, headers: response.headers, milliseconds };
    } catch {
      return SILENCE;
    }
  }

  /** Send one request with the key. Rejects when nothing answers. */
  async open(path: string, signal: AbortSignal, headers: Record<string, string> = {}): Promise<Response> {
    const { key } = this.access;
    const authorization: Record<string, string> = key === null ? {} : { authorization: `Bearer ${key}` };
    const response = await fetch(path, { headers: { ...headers, ...authorization }, signal });
    if (response.status === 401) this.access.refuse(key);
    return response;
  }
}

/** Return the address of a list; parameters without a value are left out. */
export function withQuery(path: string, parameters: Record<string, string | null>): string {
  const given = Object.entries(parameters).filter((entry): entry is [string, string] => Boolean(entry[1]));
  return given.length > 0 ? `${path}?${new URLSearchParams(given)}` : path;
}

/** Seconds of a `Retry-After` header; 0 when it is missing or a date. */
export function retryAfter(headers: Headers): number {
  return Number(headers.get("retry-after")) || 0;
}

function refusal(response: Response, text: string): Refusal {
  const body = problemOf(text);
  return {
    ok: false,
    status: response.status,
    title: body.title ?? response.statusText,
    detail: body.detail ?? "",
    requestId: body.request_id ?? response.headers.get("x-request-id") ?? "",
    retryAfter: retryAfter(response.headers),
    body,
  };
}

function problemOf(text: string): Partial<Problem> {
  try {
    return (JSON.parse(text) as Partial<Problem> | null) ?? {};
  } catch {
    return {}; // a gateway's own page, not a problem of the API
  }
}

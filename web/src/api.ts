import type { Access } from "./access";
import { parseLossless } from "./json";
import type { Problem } from "./types";

export interface Success<T> {
  ok: true;
  body: T;
  /** The body, unparsed. */
  text: string;
  headers: Headers;
  /** From the request to the last byte of the response. */
  milliseconds: number;
}

export interface Failure {
  ok: false;
  /** 0 if there was no response. */
  status: number;
  /** The type of the problem; empty if the body is no problem. */
  type: string;
  title: string;
  detail: string;
  requestId: string;
  /** In seconds; 0 if the header is missing. */
  retryAfter: number;
  body: unknown;
}

export type Result<T> = Success<T> | Failure;

type Init = Omit<RequestInit, "headers" | "signal"> & { headers?: Record<string, string> };

const TIMEOUT_MS = 10_000;
const NO_RESPONSE: Failure = {
  ok: false,
  status: 0,
  type: "",
  title: "No response",
  detail: "",
  requestId: "",
  retryAfter: 0,
  body: null,
};

export class Api {
  constructor(readonly access: Access) {}

  /** Never rejects: an aborted or timed-out request is a failure with status 0. */
  get<T>(path: string, signal: AbortSignal): Promise<Result<T>> {
    return this.request(path, {}, signal);
  }

  /** Post a JSON text as it is. Never rejects, as `get`. */
  post<T>(path: string, body: string, headers: Record<string, string>, signal: AbortSignal): Promise<Result<T>> {
    const all = { "content-type": "application/json", ...headers };
    return this.request(path, { method: "POST", body, headers: all }, signal);
  }

  private async request<T>(path: string, init: Init, signal: AbortSignal): Promise<Result<T>> {
    const startMs = performance.now();
    try {
      const response = await this.send(path, init, AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]));
      const text = await response.text();
      const milliseconds = performance.now() - startMs;
      if (!response.ok) return toFailure(response, text);
      return { ok: true, body: parseLossless(text) as T, text, headers: response.headers, milliseconds };
    } catch {
      return NO_RESPONSE;
    }
  }

  /** Send one request with the key. Rejects if there is no response. */
  open(path: string, signal: AbortSignal, headers: Record<string, string> = {}): Promise<Response> {
    return this.send(path, { headers }, signal);
  }

  private async send(path: string, init: Init, signal: AbortSignal): Promise<Response> {
    const { key } = this.access;
    const authorization: Record<string, string> = key === null ? {} : { authorization: `Bearer ${key}` };
    const response = await fetch(path, { ...init, headers: { ...init.headers, ...authorization }, signal });
    if (response.status === 401) this.access.onUnauthorized(key);
    return response;
  }
}

/** Return whether the same request may succeed later. */
export function isTemporary({ status }: Failure): boolean {
  return status === 0 || status === 429 || status >= 500;
}

/** Append the parameters that have a value to the path. */
export function withQuery(path: string, parameters: Record<string, string | null>): string {
  const given = Object.entries(parameters).filter((entry): entry is [string, string] => Boolean(entry[1]));
  return given.length > 0 ? `${path}?${new URLSearchParams(given)}` : path;
}

/** Return the seconds of a `Retry-After` header; 0 if it is missing or a date. */
export function retryAfter(headers: Headers): number {
  return Number(headers.get("retry-after")) || 0;
}

function toFailure(response: Response, text: string): Failure {
  const body = parseProblem(text);
  return {
    ok: false,
    status: response.status,
    type: body.type ?? "",
    title: body.title ?? response.statusText,
    detail: body.detail ?? "",
    requestId: body.request_id ?? response.headers.get("x-request-id") ?? "",
    retryAfter: retryAfter(response.headers),
    body,
  };
}

function parseProblem(text: string): Partial<Problem> {
  try {
    return (JSON.parse(text) as Partial<Problem> | null) ?? {};
  } catch {
    return {}; // e.g. the HTML error page of a gateway
  }
}

import { isTemporary, type Api, type Failure, type Result } from "./api";
import { JsonSyntaxError, findPaths, parseTree, placeOf } from "./json-tree";
import { REPLAY, failureMessage } from "./messages";
import type { Coordinates } from "./route";
import type { ReplayResponse } from "./types";

/** A violated rule: a path of the document, or "" for the whole document. */
export interface Violation {
  path: string;
  rule: string;
}

export interface ReplayRequest {
  deadLetter: Coordinates;
  /** The edited document as JSON, or null to send the original bytes. Must be a whole JSON text. */
  value: string | null;
  dryRun: boolean;
}

/** `possible`: it would be sent. `refused`: it would not, whatever the document. `unchecked`: the API cannot tell now. */
export type Validation =
  | { kind: "checking" | "possible" }
  | { kind: "invalid"; violations: Violation[] }
  | { kind: "refused" | "unchecked"; message: string };

const STILL_RUNNING = 409;
const INVALID = 422;
const PATH_AND_RULE = /^([\w.[\]]+): (.+)$/s;

/** Numbers keep their digits: the value is inserted as text. Throws JsonSyntaxError if it is not exactly one value. */
export function replayBody({ deadLetter: { partition, offset }, value, dryRun }: ReplayRequest): string {
  if (value !== null) parseTree(value);
  const inner = value === null ? "" : `,"value":${value}`;
  return `{"dead_letters":[{"partition":${partition},"offset":${offset}}],"dry_run":${dryRun}${inner}}`;
}

/** A request that is repeated with the same `requestKey` sends nothing twice. */
export function replay(
  api: Api,
  request: ReplayRequest,
  requestKey: string | null,
  signal: AbortSignal,
): Promise<Result<ReplayResponse>> {
  const headers: Record<string, string> = requestKey === null ? {} : { "idempotency-key": requestKey };
  return api.post<ReplayResponse>("dead-letters/replay", replayBody(request), headers, signal);
}

/** Browsers offer crypto.randomUUID only over HTTPS and on localhost. */
export function newRequestKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Return where and why the text is not JSON, or null. */
export function syntaxViolation(text: string): Violation | null {
  try {
    parseTree(text);
    return null;
  } catch (error) {
    const { message, position } = error as JsonSyntaxError;
    return { path: placeOf(text, position), rule: message };
  }
}

/** Return the violations that a dead letter's detail lists: `path: rule; path: rule`. */
export function violationsIn(detail: string): Violation[] {
  return detail.split("; ").map((part) => {
    const [, path = "", rule = part] = PATH_AND_RULE.exec(part) ?? [];
    return { path, rule };
  });
}

/** Return the start and the end of what violates a rule: the value at the path, or else where the syntax breaks. */
export function rangeOf(text: string, path: string): [number, number] {
  try {
    const [node] = findPaths(parseTree(text), [path]);
    return node ? [node.start, node.end] : [0, text.length];
  } catch (error) {
    const { position } = error as JsonSyntaxError;
    return [position, position + 1];
  }
}

/** Return whether a failed request may have sent the dead letter, or may still send it. */
export function mayHaveBeenSent(failure: Failure): boolean {
  return failure.status === STILL_RUNNING || isTemporary(failure);
}

/** Return what the response to a dry run says about the document. */
export function validationOf(result: Result<ReplayResponse>): Validation {
  if (result.ok) {
    const refusal = refusalOf(result.body);
    return refusal === null ? { kind: "possible" } : { kind: "refused", message: refusal };
  }
  const { errors } = (result.body ?? {}) as { errors?: { name: string; rule: string }[] };
  if (result.status === INVALID && errors) {
    return { kind: "invalid", violations: errors.map(({ name, rule }) => ({ path: name.replace(/^value\.?/, ""), rule })) };
  }
  return { kind: isTemporary(result) ? "unchecked" : "refused", message: failureMessage(result, REPLAY) };
}

/** Return why the only dead letter was refused, as a sentence, or null. */
export function refusalOf({ dead_letters: [only] }: ReplayResponse): string | null {
  return only?.outcome === "refused" ? `${only.detail ?? only.refusal ?? "The API refused it"}.` : null;
}

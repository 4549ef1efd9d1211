import type { DeadLetter, Reason } from "./types";

/** The reasons that `orders dlq replay --reason` knows. */
export const REASONS: readonly Reason[] = ["undecodable", "invalid", "too-large", "unsaved"];

export function showCommand({ partition, offset }: DeadLetter): string {
  return `orders dlq show ${partition} ${offset} --value`;
}

/** `--since` is the record's own time: `failed_at` is earlier, and text of a header. */
export function replayCommand({ reason, timestamp }: DeadLetter): string {
  const isKnown = REASONS.some((known) => known === reason);
  const filters = [...(isKnown ? ["--reason", reason] : []), ...(timestamp ? ["--since", timestamp] : [])];
  return ["orders dlq replay", ...filters, "--max 1 --dry-run"].join(" ");
}

import type { DeadLetter, Reason } from "./types";

/** The reasons that `orders dlq replay --reason` knows. */
export const REASONS: readonly Reason[] = ["undecodable", "invalid", "too-large", "rejected"];

export function showCommand({ partition, offset }: DeadLetter): string {
  return `orders dlq show ${partition} ${offset} --value`;
}

/** Of this letter and no other: places are unique, and hold no text that anyone has written into a header. */
export function replayCommand({ partition, offset }: DeadLetter): string {
  return `orders dlq replay ${partition} ${offset}`;
}

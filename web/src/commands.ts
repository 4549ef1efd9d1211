import type { DeadLetter, Reason } from "./types";

/** The reasons that `orders dlq replay --reason` accepts. */
export const REASONS: readonly Reason[] = ["undecodable", "invalid", "too-large", "rejected"];

export function showCommand({ partition, offset }: DeadLetter): string {
  return `orders dlq show ${partition} ${offset} --value`;
}

/** Selects by partition and offset: they are unique, and contain no text from headers, which could inject a command. */
export function replayCommand({ partition, offset }: DeadLetter): string {
  return `orders dlq replay ${partition} ${offset}`;
}

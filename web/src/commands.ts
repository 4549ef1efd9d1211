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

/** The key is a placeholder: it must not get into a shell's history by a copy. `url` is the page's own. */
export function curlCommand(url: string, hasKey: boolean): string {
  const key = hasKey ? ` -H "X-API-Key: $ORDERS_API_KEY"` : "";
  return `curl -sS${key} '${url.replaceAll("'", "%27")}'`;
}

import { integer } from "./format";
import type { Stats } from "./types";

export interface PartitionRow {
  partition: number;
  messages: number;
  /** Age of the oldest message that is not committed. Null if unknown. */
  seconds: number | null;
  /** Client ids: one, or none. Null if the group's members are unknown. */
  owners: string[] | null;
}

/** Return a row for each partition. Null while the lag is unknown. */
export function partitionRows({ partitions, consumers }: Stats): PartitionRow[] | null {
  if (!partitions) return null;
  return partitions.map((lag) => ({ ...lag, owners: consumers && ownersOf(lag.partition, consumers.members) }));
}

/** Return why the value is marked, or "". */
export function aboveThreshold(value: number | null, threshold: number | null): string {
  if (value === null || threshold === null || value <= threshold) return "";
  return `above the alert threshold of ${integer(threshold)}`;
}

/** Abbreviate runs of numbers: "0–3, 5". */
export function ranges(sorted: readonly number[]): string {
  const runs: [first: number, last: number][] = [];
  for (const number of sorted) {
    const last = runs.at(-1);
    if (last && last[1] === number - 1) last[1] = number;
    else runs.push([number, number]);
  }
  return runs.map(([first, last]) => (first === last ? `${first}` : `${first}–${last}`)).join(", ");
}

function ownersOf(partition: number, members: NonNullable<Stats["consumers"]>["members"]): string[] {
  return members.filter((member) => member.partitions.includes(partition)).map((member) => member.client_id);
}

import { integer } from "./format";
import type { Stats } from "./types";

type Member = NonNullable<Stats["consumers"]>["members"][number];
type Partition = Pick<NonNullable<Stats["partitions"]>[number], "topic" | "partition">;

export interface PartitionRow {
  topic: string;
  partition: number;
  /** The partition's number, in Kafka's notation with its topic if the group reads several topics. */
  name: string;
  messages: number;
  /** Age of the oldest message that is not committed. Null if unknown. */
  seconds: number | null;
  /** Client ids: one, or none. Null if the group's members are unknown. */
  owners: string[] | null;
}

/** Return a row for each partition. Null while the lag is unknown. */
export function partitionRows({ partitions, consumers }: Stats): PartitionRow[] | null {
  if (!partitions) return null;
  const isOneTopic = new Set(partitions.map(({ topic }) => topic)).size === 1;
  return partitions.map((lag) => ({
    ...lag,
    name: isOneTopic ? `${lag.partition}` : partitionKey(lag),
    owners: consumers && ownersOf(lag, consumers.members),
  }));
}

/** Return the partition in Kafka's notation. */
export function partitionKey({ topic, partition }: Partition): string {
  return `${topic}-${partition}`;
}

/** List a member's partitions: "0–3, 5", or with the topic of each if there are several. */
export function ownedText(topics: Member["topics"]): string {
  const [only] = topics;
  if (only && topics.length === 1) return ranges(only.partitions);
  return topics.map(({ topic, partitions }) => `${topic}: ${ranges(partitions)}`).join("; ");
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

function ownersOf(owned: Partition, members: readonly Member[]): string[] {
  const owns = ({ topic, partitions }: Member["topics"][number]): boolean =>
    topic === owned.topic && partitions.includes(owned.partition);
  return members.filter((member) => member.topics.some(owns)).map((member) => member.client_id);
}

import { withQuery, type Api } from "./api";
import { isOrderId } from "./route";
import type { DeadLetter, DeadLetterPage, Order } from "./types";

/** `unchanged`: the stored order is the same or newer. `unknown`: nothing was seen in time. */
export type Fate =
  | { kind: "stored" | "unchanged" | "unknown" }
  | { kind: "back"; deadLetter: DeadLetter };

/** What there was before the replay. */
export interface Snapshot {
  /** The entity tag of the stored order; "" if there is none, null if that is unknown. */
  tag: string | null;
  /** Dead letters that earlier replays of the same record have left. */
  successors: DeadLetter[];
}

const FOLLOWED_MS = 30_000;
export const FOLLOW_INTERVAL_MS = 1_000;
const NEWEST = withQuery("dead-letters", { limit: "50" });
const MISSING = 404;

export async function snapshot(api: Api, replayed: DeadLetter, uid: string | null, signal: AbortSignal): Promise<Snapshot> {
  const [tag, successors] = await Promise.all([storedTag(api, uid, signal), successorsOf(api, replayed, signal)]);
  return { tag, successors };
}

/** Wait until the replayed dead letter is stored, or back in the topic. */
export async function follow(
  api: Api,
  replayed: DeadLetter,
  uid: string | null,
  before: Snapshot,
  signal: AbortSignal,
): Promise<Fate> {
  const deadline = Date.now() + FOLLOWED_MS;
  while (Date.now() < deadline && !signal.aborted) {
    const now = await snapshot(api, replayed, uid, signal);
    if (before.tag !== null && now.tag && now.tag !== before.tag) return { kind: "stored" };
    const back = now.successors.find((each) => !before.successors.some((known) => isSame(each, known)));
    if (back) return { kind: "back", deadLetter: back };
    await new Promise((resolve) => setTimeout(resolve, FOLLOW_INTERVAL_MS));
  }
  return { kind: before.tag ? "unchanged" : "unknown" };
}

async function storedTag(api: Api, uid: string | null, signal: AbortSignal): Promise<string | null> {
  if (uid === null || !isOrderId(uid)) return null;
  const result = await api.get<Order>(`orders/${uid}`, signal);
  if (result.ok) return result.headers.get("etag");
  return result.status === MISSING ? "" : null;
}

async function successorsOf(api: Api, replayed: DeadLetter, signal: AbortSignal): Promise<DeadLetter[]> {
  const result = await api.get<DeadLetterPage>(NEWEST, signal);
  return result.ok ? result.body.dead_letters.filter((each) => isSuccessor(each, replayed)) : [];
}

function isSuccessor(later: DeadLetter, { original, replays }: DeadLetter): boolean {
  if (!original || !later.original) return false;
  const { topic, partition, offset } = later.original;
  return (
    later.replays > replays && topic === original.topic && partition === original.partition && offset === original.offset
  );
}

function isSame(one: DeadLetter, other: DeadLetter): boolean {
  return one.partition === other.partition && one.offset === other.offset;
}

import type { DeadLetterCounts } from "./types";

/** A colored part of a bar. Fractions of the plot's height. */
export interface Segment {
  reason: string;
  from: number;
  to: number;
}

export interface Bar {
  start: string;
  /** Before the point up to which the topic was read, the count is unknown. */
  isKnown: boolean;
  total: number;
  segments: Segment[];
}

export const COUNTED_REASONS = ["undecodable", "invalid", "too-large", "rejected", "unknown"] as const;

export function bars({ buckets, counted_since }: DeadLetterCounts): Bar[] {
  const knownSince = Date.parse(counted_since);
  const max = Math.max(1, ...buckets.map(({ counts }) => totalOf(counts)));
  return buckets.map(({ start, counts }) => ({
    start,
    isKnown: Date.parse(start) >= knownSince,
    total: totalOf(counts),
    segments: segments(counts, max),
  }));
}

export function totalOf(counts: Record<string, number>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

function segments(counts: Record<string, number>, max: number): Segment[] {
  let from = 0;
  return COUNTED_REASONS.flatMap((reason) => {
    const count = counts[reason] ?? 0;
    if (count === 0) return [];
    const to = from + count / max;
    const segment = { reason, from, to };
    from = to;
    return segment;
  });
}

"""Counts dead letters by reason and time, for a chart."""

from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

from service.entities.dead_letter import Reason
from service.entities.dead_letter_record import UNKNOWN_REASON, DeadLetterRecord
from service.pkg.timestamps import to_milliseconds
from service.usecases.ports.dead_letters import ArrivalCounts, CountsQuery

_REASONS: Final = frozenset(Reason)


class Arrival(NamedTuple):
    """The time and the reason of a dead letter."""

    timestamp_ms: int
    reason: str

    @classmethod
    def of(cls, dead_letter: DeadLetterRecord) -> "Arrival":
        """Return both. The reason is `unknown` if it is not a Reason, because producers can write any."""
        reason = dead_letter.reason
        return cls(dead_letter.timestamp_ms, reason if reason in _REASONS else UNKNOWN_REASON)


def count(arrivals: Iterable[Arrival], query: CountsQuery, *, counted_since_ms: int, until_ms: int) -> ArrivalCounts:
    """Count by bucket. A producer's clock may be ahead: the last bucket includes timestamps after `until_ms`."""
    since_ms, bucket_ms = to_milliseconds(query.since), query.bucket_seconds * 1_000
    buckets = [Counter[str]() for _ in range(since_ms, max(until_ms, since_ms + 1), bucket_ms)]
    for timestamp_ms, reason in arrivals:
        if timestamp_ms >= counted_since_ms:
            buckets[min((timestamp_ms - since_ms) // bucket_ms, len(buckets) - 1)][reason] += 1
    return ArrivalCounts(until_ms, counted_since_ms, buckets)

"""Counts dead letters by reason and time, for a chart."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from service.entities.dead_letter import Reason
from service.entities.dead_letter_record import UNKNOWN_REASON, DeadLetterRecord
from service.pkg.timestamps import to_milliseconds
from service.pkg.units import parse_seconds
from service.usecases.ports.dead_letters import ArrivalCounts, CountsQuery

_REASONS: Final = frozenset(Reason)
MAX_BUCKETS: Final = 1_000
DEFAULT_BUCKETS: Final = 60
"""Maximum number of buckets if the client does not choose their size."""
DEFAULT_COUNTED_PERIOD: Final = timedelta(days=1)


class Bucket(StrEnum):
    """The size of a bucket."""

    MINUTE = "1m"
    FIVE_MINUTES = "5m"
    FIFTEEN_MINUTES = "15m"
    HOUR = "1h"
    SIX_HOURS = "6h"
    DAY = "1d"

    @property
    def seconds(self) -> int:
        return int(parse_seconds(self.value))


class Arrival(NamedTuple):
    """The time and the reason of a dead letter."""

    timestamp_ms: int
    reason: str

    @classmethod
    def of(cls, dead_letter: DeadLetterRecord) -> "Arrival":
        """Return both. The reason is `unknown` if it is not a Reason, because producers can write any."""
        reason = dead_letter.reason
        return cls(dead_letter.timestamp_ms, reason if reason in _REASONS else UNKNOWN_REASON)


def counts_query(since: datetime | None, bucket: Bucket | None, now: datetime) -> CountsQuery:
    """Return a query that starts at a bucket's start, so that requests share a scan, and has at most MAX_BUCKETS."""
    now_seconds = int(now.timestamp())
    since_seconds = int((since or now - DEFAULT_COUNTED_PERIOD).timestamp())
    fitting = (each for each in Bucket if now_seconds - since_seconds <= each.seconds * (DEFAULT_BUCKETS - 1))
    size = (bucket or next(fitting, Bucket.DAY)).seconds
    start = max(since_seconds, now_seconds - size * (MAX_BUCKETS - 1))
    return CountsQuery(datetime.fromtimestamp(start - start % size, UTC), size)


def count(arrivals: Iterable[Arrival], query: CountsQuery, *, counted_since_ms: int, until_ms: int) -> ArrivalCounts:
    """Count by bucket. A producer's clock may be ahead: the last bucket includes timestamps after `until_ms`."""
    since_ms, bucket_ms = to_milliseconds(query.since), query.bucket_seconds * 1_000
    buckets = [Counter[str]() for _ in range(since_ms, max(until_ms, since_ms + 1), bucket_ms)]
    for timestamp_ms, reason in arrivals:
        if timestamp_ms >= counted_since_ms:
            buckets[min((timestamp_ms - since_ms) // bucket_ms, len(buckets) - 1)][reason] += 1
    return ArrivalCounts(until_ms, counted_since_ms, buckets)

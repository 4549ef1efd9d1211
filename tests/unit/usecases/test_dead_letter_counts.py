"""Dead letters by reason and time: the buckets of a chart, and what is counted in them."""

from datetime import UTC, datetime, timedelta

import pytest

from service.entities.dead_letter_headers import Header, Headers
from service.entities.dead_letter_record import DeadLetterRecord
from service.pkg.timestamps import to_milliseconds
from service.usecases.dead_letter_counts import Arrival, Bucket, count, counts_query
from service.usecases.ports.dead_letters import CountsQuery

NOW = datetime(2026, 11, 23, 10, 7, 30, 900_000, UTC)
TEN = datetime(2026, 11, 23, 10, tzinfo=UTC)
TEN_MS = to_milliseconds(TEN)


@pytest.mark.parametrize(
    ("since", "bucket", "start", "seconds"),
    [
        (None, None, datetime(2026, 11, 22, 10, tzinfo=UTC), 3_600),
        (NOW - timedelta(minutes=59), None, datetime(2026, 11, 23, 9, 8, tzinfo=UTC), 60),
        (NOW - timedelta(minutes=59, seconds=1), None, datetime(2026, 11, 23, 9, 5, tzinfo=UTC), 300),
        (NOW - timedelta(days=59), None, datetime(2026, 9, 25, tzinfo=UTC), 86_400),
        (NOW - timedelta(days=400), None, datetime(2025, 10, 19, tzinfo=UTC), 86_400),
        (NOW - timedelta(hours=1), Bucket.FIFTEEN_MINUTES, datetime(2026, 11, 23, 9, tzinfo=UTC), 900),
        (datetime(1970, 1, 1, tzinfo=UTC), Bucket.MINUTE, datetime(2026, 11, 22, 17, 28, tzinfo=UTC), 60),
    ],
)
def test_a_query_starts_with_a_whole_bucket_and_has_few_buckets(
    since: datetime | None, bucket: Bucket | None, start: datetime, seconds: int
) -> None:
    assert counts_query(since, bucket, NOW) == CountsQuery(start, seconds)


def counted(*arrivals: tuple[int, str], counted_since: int = 0, until: int = 150) -> list[dict[str, int]]:
    """Count arrivals by minute from ten o'clock; their times and the limits are seconds after it."""
    found = count(
        [Arrival(TEN_MS + seconds * 1_000, reason) for seconds, reason in arrivals],
        CountsQuery(TEN, 60),
        counted_since_ms=TEN_MS + counted_since * 1_000,
        until_ms=TEN_MS + until * 1_000,
    )
    assert (found.until_ms, found.counted_since_ms) == (TEN_MS + until * 1_000, TEN_MS + counted_since * 1_000)
    return [dict(bucket) for bucket in found.buckets]


def test_each_bucket_counts_by_reason_from_its_start_up_to_the_next() -> None:
    arrivals = [(0, "invalid"), (59, "invalid"), (59, "rejected"), (60, "invalid"), (150, "rejected")]
    assert counted(*arrivals) == [{"invalid": 2, "rejected": 1}, {"invalid": 1}, {"rejected": 1}]


def test_dead_letters_before_the_first_complete_time_are_not_counted() -> None:
    assert counted((0, "invalid"), (29, "invalid"), (30, "invalid"), counted_since=30) == [{"invalid": 1}, {}, {}]


def test_the_last_bucket_counts_those_of_a_clock_that_is_ahead() -> None:
    assert counted((3_600, "invalid")) == [{}, {}, {"invalid": 1}]


@pytest.mark.parametrize("until", [-60, 0])
def test_there_is_always_a_bucket(until: int) -> None:
    assert counted((0, "invalid"), counted_since=-60, until=until) == [{"invalid": 1}]


@pytest.mark.parametrize(
    ("headers", "reason"),
    [([(Header.REASON, b"rejected")], "rejected"), ([(Header.REASON, b"mine")], "unknown"), ([], "unknown")],
)
def test_a_reason_that_a_consumer_does_not_give_is_unknown(headers: Headers, reason: str) -> None:
    assert Arrival.of(DeadLetterRecord(0, 0, 7, None, None, headers)) == Arrival(7, reason)

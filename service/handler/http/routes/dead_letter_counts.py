"""`/dead-letters/counts`: dead letters per reason and bucket of time."""

from collections import Counter
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import Query, Response
from msgspec import Struct

from service.handler.http.openapi.document import Responses, errors, ok
from service.handler.http.openapi.router import Router
from service.handler.http.requests.parameters import AGE_DESCRIPTION, TimeOrAgeParameter
from service.handler.http.responses.json_response import struct_response
from service.pkg.timestamps import to_milliseconds
from service.usecases.dead_letter_counts import DEFAULT_BUCKETS, MAX_BUCKETS, Bucket, counts_query
from service.usecases.dead_letter_view import format_timestamp
from service.usecases.ports.dead_letters import ArrivalCounts, CountsQuery, DeadLetterReader

CountedSince = Annotated[
    TimeOrAgeParameter,
    Query(
        description=f"Count since this time, {AGE_DESCRIPTION}, but only the last {MAX_BUCKETS:,} buckets. "
        "Default: `24h`."
    ),
]
BucketSize = Annotated[
    Bucket | None,
    Query(description=f"Default: the smallest that gives at most {DEFAULT_BUCKETS} buckets."),
]


class CountsBucket(Struct, frozen=True):
    start: str
    counts: dict[str, int]
    """By reason. A reason without dead letters is absent."""


class CountsView(Struct, frozen=True, kw_only=True):
    """All buckets from `since` to `until`, oldest first."""

    since: str
    """The start of the first bucket."""
    until: str
    bucket_seconds: int
    complete: bool
    """False if there are too many to count: then those before `counted_since` are not counted."""
    counted_since: str
    counts: dict[str, int]
    """The sums of the buckets."""
    buckets: list[CountsBucket]


_EXAMPLE: Final = CountsView(
    since="2021-11-26T06:00:00Z",
    until="2021-11-26T07:00:00Z",
    bucket_seconds=3_600,
    complete=True,
    counted_since="2021-11-26T06:00:00Z",
    counts={"invalid": 1},
    buckets=[CountsBucket(start="2021-11-26T06:00:00Z", counts={"invalid": 1})],
)
RESPONSES: Final[Responses] = {
    **ok("Numbers of dead letters, at most 5 s old.", _EXAMPLE),
    **errors(HTTPStatus.NOT_FOUND),
}


def router(dead_letters: DeadLetterReader) -> Router:
    routes = Router("dead letters")

    @routes.get("/dead-letters/counts", responses=RESPONSES, summary="Count dead letters")
    async def count_dead_letters(since: CountedSince = None, bucket: BucketSize = None) -> Response:
        query = counts_query(since, bucket, datetime.now(UTC))
        return struct_response(_view(query, await dead_letters.counts(query)))

    return routes


def _view(query: CountsQuery, counts: ArrivalCounts) -> CountsView:
    since_ms, bucket_ms = to_milliseconds(query.since), query.bucket_seconds * 1_000
    starts = (since_ms + number * bucket_ms for number in range(len(counts.buckets)))
    buckets = zip(starts, counts.buckets, strict=True)
    return CountsView(
        since=format_timestamp(since_ms),
        until=format_timestamp(counts.until_ms),
        bucket_seconds=query.bucket_seconds,
        complete=counts.counted_since_ms <= since_ms,
        counted_since=format_timestamp(counts.counted_since_ms),
        counts=sum(map(Counter[str], counts.buckets), Counter[str]()),
        buckets=[CountsBucket(format_timestamp(start), dict(each)) for start, each in buckets],
    )

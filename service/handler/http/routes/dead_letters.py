"""`/dead-letters`: the dead-letter topic, newest first. Read-only. The responses hold personal data."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Final

import msgspec
from fastapi import Path, Query, Response
from msgspec import Struct

from service.entities.dead_letter import Reason
from service.handler.http.openapi.document import Responses, errors, ok
from service.handler.http.openapi.router import Router
from service.handler.http.requests.parameters import FilterText, TimeOrAgeParameter
from service.handler.http.responses.json_response import json_response
from service.handler.http.responses.problem_types import ProblemType
from service.handler.http.responses.problems import Problem
from service.pkg.timestamps import to_milliseconds
from service.pkg.units import parse_seconds
from service.usecases.dead_letter_view import DeadLetterView, WholeDeadLetter, format_timestamp, view, whole_view
from service.usecases.ports.dead_letter_filters import DeadLetterFilters
from service.usecases.ports.dead_letters import ArrivalCounts, CountsQuery, DeadLetterQuery, DeadLetterReader

MAX_DEAD_LETTERS_PER_PAGE: Final = 50
MAX_BUCKETS: Final = 1_000
DEFAULT_BUCKETS: Final = 60
"""Maximum number of buckets if the client does not choose their size."""
DEFAULT_COUNTED_PERIOD: Final = timedelta(days=1)
_COORDINATES: Final = r"[0-9]{1,9}\.[0-9]{1,18}"
"""Part of a cursor: a partition, and the offset before which the next page begins."""
_AGE: Final = "or an age such as `90m` or `40d`, which means this long ago"
Since = Annotated[
    TimeOrAgeParameter, Query(description=f"Only dead letters that arrived in the topic at or after this time, {_AGE}.")
]
Until = Annotated[
    TimeOrAgeParameter, Query(description=f"Only dead letters that arrived in the topic before this time, {_AGE}.")
]
DeadLettersLimit = Annotated[
    int, Query(ge=1, le=MAX_DEAD_LETTERS_PER_PAGE, description="Maximum number of dead letters in the page.")
]
Reasons = Annotated[
    list[Reason] | None,
    Query(max_length=len(Reason), description="Only dead letters with this reason. May be repeated."),
]
OrderFilter = Annotated[FilterText, Query(description="Only dead letters of this order, by key or document.")]
DetailFilter = Annotated[
    FilterText, Query(description="Only dead letters with this text in `detail`, in upper or lower case.")
]
DeadLettersCursor = Annotated[
    str | None,
    Query(
        pattern=f"^{_COORDINATES}(-{_COORDINATES})*$",
        max_length=8_192,
        description="`next_cursor` of the previous page (opaque).",
    ),
]
Partition = Annotated[int, Path(ge=0, le=2**31 - 1, description="Partition of the dead-letter topic.", examples=[0])]
Offset = Annotated[int, Path(ge=0, le=2**63 - 1, description="Offset in that partition.", examples=[0])]


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


CountedSince = Annotated[
    TimeOrAgeParameter,
    Query(description=f"Count since this time, {_AGE}, but only the last {MAX_BUCKETS:,} buckets. Default: `24h`."),
]
BucketSize = Annotated[
    Bucket | None,
    Query(description=f"Default: the smallest that gives at most {DEFAULT_BUCKETS} buckets."),
]


class DeadLetterList(Struct, frozen=True):
    dead_letters: list[DeadLetterView]
    next_cursor: str | None
    """Null on the last page. Any other page may hold fewer dead letters than `limit`, even none."""


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


_DEAD_LETTER: Final = {
    "partition": 0,
    "offset": 41,
    "timestamp": "2021-11-26T06:22:20Z",
    "reason": "invalid",
    "detail": "delivery.email: Expected `str` matching regex",
    "failed_at": "2021-11-26T06:22:20Z",
    "attempts": "1",
    "replays": 0,
    "is_stub": False,
    "original": {"topic": "orders", "partition": 2, "offset": 1_041, "timestamp": "2021-11-26T06:22:19Z"},
    "key": "YjU2M2ZlYjdiMmI4NGI2dGVzdA==",
    "value": "e30=",
    "size": 2,
}
_LISTED: Final = msgspec.convert(_DEAD_LETTER, DeadLetterView)
_WHOLE: Final = msgspec.convert(
    {**_DEAD_LETTER, "headers": [{"name": "dlq-reason", "value": "invalid"}]}, WholeDeadLetter
)
_COUNTS: Final = CountsView(
    since="2021-11-26T06:00:00Z",
    until="2021-11-26T07:00:00Z",
    bucket_seconds=3_600,
    complete=True,
    counted_since="2021-11-26T06:00:00Z",
    counts={"invalid": 1},
    buckets=[CountsBucket(start="2021-11-26T06:00:00Z", counts={"invalid": 1})],
)
LIST_RESPONSES: Final[Responses] = {
    **ok(
        "A page of dead letters, with their original bytes (personal data).",
        DeadLetterList([_LISTED], next_cursor="0.41"),
    ),
    **errors(HTTPStatus.NOT_FOUND),
}
WHOLE_RESPONSES: Final[Responses] = {
    **ok("A dead letter, with its complete original bytes and headers (personal data).", _WHOLE),
    **errors(HTTPStatus.NOT_FOUND),
}
COUNTS_RESPONSES: Final[Responses] = {
    **ok("Numbers of dead letters, at most 5 s old.", _COUNTS),
    **errors(HTTPStatus.NOT_FOUND),
}


def router(dead_letters: DeadLetterReader) -> Router:
    routes = Router("dead letters")

    @routes.get("/dead-letters", responses=LIST_RESPONSES, summary="List dead letters, newest first")
    async def list_dead_letters(
        limit: DeadLettersLimit = 20,
        cursor: DeadLettersCursor = None,
        reason: Reasons = None,
        since: Since = None,
        until: Until = None,
        order: OrderFilter = None,
        text: DetailFilter = None,
    ) -> Response:
        filters = DeadLetterFilters(frozenset(reason or ()), since, order, until, text)
        page = await dead_letters.page(DeadLetterQuery(limit, _parse_cursor(cursor), filters))
        return _response(DeadLetterList([view(each) for each in page.dead_letters], _format_cursor(page.before)))

    @routes.get("/dead-letters/counts", responses=COUNTS_RESPONSES, summary="Count dead letters")
    async def count_dead_letters(since: CountedSince = None, bucket: BucketSize = None) -> Response:
        query = _counts_query(since, bucket, datetime.now(UTC))
        return _response(_counts_view(query, await dead_letters.counts(query)))

    @routes.get(
        "/dead-letters/{partition}/{offset}",
        responses=WHOLE_RESPONSES,
        summary="Get a dead letter",
    )
    async def get_dead_letter(partition: Partition, offset: Offset) -> Response:
        dead_letter = await dead_letters.find(partition, offset)
        if dead_letter is None:
            raise Problem(ProblemType.DEAD_LETTER_NOT_FOUND, "no dead letter at this partition and offset")
        return await asyncio.to_thread(lambda: _response(whole_view(dead_letter)))  # it may be large

    return routes


def _response(body: Struct) -> Response:
    return json_response(msgspec.json.encode(body))


def _parse_cursor(cursor: str | None) -> Mapping[int, int] | None:
    if not cursor:
        return None
    coordinates = (each.split(".") for each in cursor.split("-"))
    return {int(partition): int(offset) for partition, offset in coordinates}


def _format_cursor(before: Mapping[int, int] | None) -> str | None:
    return "-".join(f"{partition}.{offset}" for partition, offset in sorted(before.items())) if before else None


def _counts_query(since: datetime | None, bucket: Bucket | None, now: datetime) -> CountsQuery:
    """Round down to a bucket's start, so that requests share a scan. There are at most MAX_BUCKETS."""
    now_seconds = int(now.timestamp())
    since_seconds = int((since or now - DEFAULT_COUNTED_PERIOD).timestamp())
    fitting = (each for each in Bucket if now_seconds - since_seconds <= each.seconds * (DEFAULT_BUCKETS - 1))
    size = (bucket or next(fitting, Bucket.DAY)).seconds
    start = max(since_seconds, now_seconds - size * (MAX_BUCKETS - 1))
    return CountsQuery(datetime.fromtimestamp(start - start % size, UTC), size)


def _counts_view(query: CountsQuery, counts: ArrivalCounts) -> CountsView:
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

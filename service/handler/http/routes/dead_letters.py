"""`/dead-letters`: the dead-letter topic, newest first. Read-only. The responses hold personal data."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Final

import msgspec
from fastapi import Path, Query, Response
from msgspec import Struct

from service.entities.dead_letter import Reason
from service.entities.version import MAX_OFFSET, MAX_PARTITION
from service.handler.http.openapi.document import Responses, errors, ok
from service.handler.http.openapi.router import Router
from service.handler.http.requests.parameters import AGE_DESCRIPTION, FilterText, TimeOrAgeParameter
from service.handler.http.responses.json_response import struct_response
from service.handler.http.responses.problem_types import ProblemType
from service.handler.http.responses.problems import Problem
from service.usecases.dead_letter_view import DeadLetterView, WholeDeadLetter, view, whole_view
from service.usecases.ports.dead_letters import DeadLetterFilters, DeadLetterQuery, DeadLetterReader

MAX_DEAD_LETTERS_PER_PAGE: Final = 50
_COORDINATES: Final = r"[0-9]{1,9}\.[0-9]{1,18}"
"""Part of a cursor: a partition, and the offset before which the next page begins."""
Since = Annotated[
    TimeOrAgeParameter,
    Query(description=f"Only dead letters that arrived in the topic at or after this time, {AGE_DESCRIPTION}."),
]
Until = Annotated[
    TimeOrAgeParameter,
    Query(description=f"Only dead letters that arrived in the topic before this time, {AGE_DESCRIPTION}."),
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
PartitionNumber = Annotated[
    int, Path(ge=0, le=MAX_PARTITION, description="Partition of the dead-letter topic.", examples=[0])
]
Offset = Annotated[int, Path(ge=0, le=MAX_OFFSET, description="Offset in that partition.", examples=[0])]


class DeadLetterList(Struct, frozen=True):
    dead_letters: list[DeadLetterView]
    next_cursor: str | None
    """Null on the last page. Any other page may hold fewer dead letters than `limit`, even none."""


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
        return struct_response(DeadLetterList([view(each) for each in page.dead_letters], _format_cursor(page.before)))

    @routes.get(
        "/dead-letters/{partition}/{offset}",
        responses=WHOLE_RESPONSES,
        summary="Get a dead letter",
    )
    async def get_dead_letter(partition: PartitionNumber, offset: Offset) -> Response:
        dead_letter = await dead_letters.find(partition, offset)
        if dead_letter is None:
            raise Problem(ProblemType.DEAD_LETTER_NOT_FOUND, "no dead letter at this partition and offset")
        return await asyncio.to_thread(lambda: struct_response(whole_view(dead_letter)))  # it may be large

    return routes


def _parse_cursor(cursor: str | None) -> Mapping[int, int] | None:
    if not cursor:
        return None
    coordinates = (each.split(".") for each in cursor.split("-"))
    return {int(partition): int(offset) for partition, offset in coordinates}


def _format_cursor(before: Mapping[int, int] | None) -> str | None:
    return "-".join(f"{partition}.{offset}" for partition, offset in sorted(before.items())) if before else None

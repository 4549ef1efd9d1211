"""`/dead-letters`: what lies in the dead-letter topic, newest first. Read-only; it holds personal data."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query, Response
from msgspec import Struct

from service.entities.dead_letter import Header, Origin, Reason
from service.entities.dead_letter_record import Excerpt
from service.handler.http.openapi import Responses, answer, inline, refusals
from service.pkg.timestamps import rfc3339
from service.usecases.ports import DeadLetterQuery, DeadLetterReader

MAX_PAGE: Final = 50
_PLACE: Final = r"[0-9]{1,9}\.[0-9]{1,18}"
"""Of a cursor: a partition, and the offset before which to look."""

Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Dead letters of one page, at most.")]
Reasons = Annotated[list[Reason] | None, Query(max_length=len(Reason), description="Only these; may be repeated.")]
PageCursor = Annotated[
    str | None,
    Query(
        pattern=f"^{_PLACE}(-{_PLACE})*$",
        max_length=8_192,
        description="`next_cursor` of the page before; opaque.",
    ),
]


class Original(Struct, frozen=True):
    """The record in which the message first came."""

    topic: str
    partition: int
    offset: int
    timestamp: str


class ShownDeadLetter(Struct, frozen=True):
    """Texts are those of the dead letter's headers, empty where it has none."""

    partition: int
    offset: int
    timestamp: str
    reason: str
    detail: str
    failed_at: str
    attempts: str
    replays: int
    is_stub: bool
    """Whether the original was too large for the topic, and `value` tells of it."""
    original: Original | None
    key: str | None
    """Base64 of the first bytes."""
    value: str | None
    """Base64 of the first bytes."""
    size: int
    """Bytes of the whole value."""


class DeadLetterList(Struct, frozen=True):
    dead_letters: list[ShownDeadLetter]
    next_cursor: str | None
    """Null when there are no more. A page may hold fewer than `limit`, even none, and still have one."""


LIST: Final[Responses] = {
    **answer("A page of dead letters with their original bytes: personal data.", inline(DeadLetterList)),
    **refusals(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY),
}


def router(dead_letters: DeadLetterReader) -> APIRouter:
    routes = APIRouter(tags=["dead letters"])

    @routes.get("/dead-letters", responses=LIST, response_class=Response, summary="Dead letters, newest first")
    async def list_dead_letters(limit: Limit = 20, reason: Reasons = None, cursor: PageCursor = None) -> Response:
        page = await dead_letters.page(DeadLetterQuery(limit, _parsed(cursor), frozenset(reason or ())))
        body = msgspec.json.encode(DeadLetterList([_shown(each) for each in page.dead_letters], _cursor(page.before)))
        return Response(body, headers={"cache-control": "no-store"}, media_type="application/json")

    return routes


def _parsed(cursor: str | None) -> Mapping[int, int] | None:
    if not cursor:
        return None
    places = (place.split(".") for place in cursor.split("-"))
    return {int(number): int(high) for number, high in places}


def _cursor(before: Mapping[int, int] | None) -> str | None:
    return "-".join(f"{number}.{high}" for number, high in sorted(before.items())) if before else None


def _shown(excerpt: Excerpt) -> ShownDeadLetter:
    dead_letter = excerpt.dead_letter
    return ShownDeadLetter(
        dead_letter.partition,
        dead_letter.offset,
        _moment(dead_letter.timestamp_ms),
        dead_letter.reason,
        dead_letter.text(Header.DETAIL),
        dead_letter.text(Header.FAILED_AT),
        dead_letter.text(Header.ATTEMPTS),
        dead_letter.replays,
        dead_letter.is_stub,
        dead_letter.origin and _original(dead_letter.origin),
        _encoded(dead_letter.key),
        _encoded(dead_letter.value),
        excerpt.size,
    )


def _original(origin: Origin) -> Original:
    return Original(origin.topic, origin.partition, origin.offset, _moment(origin.timestamp_ms))


def _encoded(content: bytes | None) -> str | None:
    return None if content is None else b64encode(content).decode()


def _moment(milliseconds: int) -> str:
    """Return RFC 3339 in UTC; empty for what no calendar has, for anyone can write a header."""
    try:
        return rfc3339(datetime.fromtimestamp(milliseconds / 1_000, UTC))
    except (OverflowError, ValueError, OSError):
        return ""

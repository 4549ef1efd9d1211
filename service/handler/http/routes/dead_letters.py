"""`/dead-letters`: the dead-letter topic, newest first. Read-only. The response holds personal data."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query, Response
from msgspec import Struct

from service.entities.dead_letter import Reason
from service.entities.dead_letter_headers import Header
from service.entities.dead_letter_record import Excerpt
from service.entities.version import RecordCoordinates
from service.handler.http.openapi import Responses, error_responses, inline_schema, json_response
from service.pkg.timestamps import rfc3339
from service.usecases.ports import DeadLetterQuery, DeadLetterReader

MAX_PAGE_SIZE: Final = 50
_COORDINATES: Final = r"[0-9]{1,9}\.[0-9]{1,18}"
"""Part of a cursor: a partition, and the offset before which the next page begins."""

DeadLettersLimit = Annotated[
    int, Query(ge=1, le=MAX_PAGE_SIZE, description="Maximum number of dead letters in the page.")
]
Reasons = Annotated[
    list[Reason] | None,
    Query(max_length=len(Reason), description="Only dead letters with this reason. May be repeated."),
]
DeadLettersCursor = Annotated[
    str | None,
    Query(
        pattern=f"^{_COORDINATES}(-{_COORDINATES})*$",
        max_length=8_192,
        description="`next_cursor` of the previous page (opaque).",
    ),
]


class Original(Struct, frozen=True, kw_only=True):
    """The record that could not be stored."""

    topic: str
    partition: int
    offset: int
    timestamp: str


class DeadLetterView(Struct, frozen=True, kw_only=True):
    """`reason`, `detail`, `failed_at` and `attempts` are the dead letter's headers; empty if a header is missing."""

    partition: int
    offset: int
    timestamp: str
    reason: str
    detail: str
    failed_at: str
    attempts: str
    replays: int
    is_stub: bool
    """Whether the original was too large for the topic; `value` then describes it instead."""
    original: Original | None
    key: str | None
    """Base64 of the first bytes."""
    value: str | None
    """Base64 of the first bytes."""
    size: int
    """Size of the whole value in bytes."""


class DeadLetterList(Struct, frozen=True):
    dead_letters: list[DeadLetterView]
    next_cursor: str | None
    """Null on the last page. Any other page may hold fewer dead letters than `limit`, even none."""


RESPONSES: Final[Responses] = {
    **json_response(
        "A page of dead letters, with their original bytes (personal data).", inline_schema(DeadLetterList)
    ),
    **error_responses(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY),
}


def router(dead_letters: DeadLetterReader) -> APIRouter:
    routes = APIRouter(tags=["dead letters"])

    @routes.get(
        "/dead-letters", responses=RESPONSES, response_class=Response, summary="List dead letters, newest first"
    )
    async def list_dead_letters(
        limit: DeadLettersLimit = 20, reason: Reasons = None, cursor: DeadLettersCursor = None
    ) -> Response:
        page = await dead_letters.page(DeadLetterQuery(limit, _parse_cursor(cursor), frozenset(reason or ())))
        body = msgspec.json.encode(
            DeadLetterList([_view(excerpt) for excerpt in page.dead_letters], _format_cursor(page.before))
        )
        return Response(body, headers={"cache-control": "no-store"}, media_type="application/json")

    return routes


def _parse_cursor(cursor: str | None) -> Mapping[int, int] | None:
    if not cursor:
        return None
    coordinates = (each.split(".") for each in cursor.split("-"))
    return {int(partition): int(offset) for partition, offset in coordinates}


def _format_cursor(before: Mapping[int, int] | None) -> str | None:
    return "-".join(f"{partition}.{offset}" for partition, offset in sorted(before.items())) if before else None


def _view(excerpt: Excerpt) -> DeadLetterView:
    dead_letter = excerpt.dead_letter
    return DeadLetterView(
        partition=dead_letter.partition,
        offset=dead_letter.offset,
        timestamp=_timestamp(dead_letter.timestamp_ms),
        reason=dead_letter.reason,
        detail=dead_letter.text(Header.DETAIL),
        failed_at=dead_letter.text(Header.FAILED_AT),
        attempts=dead_letter.text(Header.ATTEMPTS),
        replays=dead_letter.replays,
        is_stub=dead_letter.is_stub,
        original=dead_letter.origin and _original(dead_letter.origin),
        key=_base64(dead_letter.key),
        value=_base64(dead_letter.value),
        size=excerpt.size,
    )


def _original(origin: RecordCoordinates) -> Original:
    return Original(
        topic=origin.topic,
        partition=origin.partition,
        offset=origin.offset,
        timestamp=_timestamp(origin.timestamp_ms),
    )


def _base64(content: bytes | None) -> str | None:
    return None if content is None else b64encode(content).decode()


def _timestamp(milliseconds: int) -> str:
    """Return RFC 3339 in UTC; empty if out of range, because producers can write any header."""
    try:
        return rfc3339(datetime.fromtimestamp(milliseconds / 1_000, UTC))
    except (OverflowError, ValueError, OSError):
        return ""

"""Dead letters as JSON documents, for the API and for commands."""

from base64 import b64encode
from datetime import UTC, datetime

from msgspec import Struct, structs

from service.entities.dead_letter_headers import Header
from service.entities.dead_letter_record import DeadLetterRecord, Excerpt, printable
from service.entities.version import RecordCoordinates
from service.pkg.timestamps import rfc3339


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


class DeadLetterHeader(Struct, frozen=True):
    """`value` has only printable characters."""

    name: str
    value: str | None


class WholeDeadLetter(DeadLetterView, frozen=True, kw_only=True):
    """A dead letter whose `key` and `value` are complete, with all its headers."""

    headers: list[DeadLetterHeader]


def view(excerpt: Excerpt) -> DeadLetterView:
    dead_letter = excerpt.dead_letter
    return DeadLetterView(
        partition=dead_letter.partition,
        offset=dead_letter.offset,
        timestamp=format_timestamp(dead_letter.timestamp_ms),
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


def whole_view(dead_letter: DeadLetterRecord) -> WholeDeadLetter:
    headers = [
        DeadLetterHeader(printable(name), None if value is None else printable(value))
        for name, value in dead_letter.headers
    ]
    start = view(Excerpt(dead_letter, len(dead_letter.value or b"")))
    return WholeDeadLetter(**structs.asdict(start), headers=headers)


def format_timestamp(milliseconds: int) -> str:
    """Return RFC 3339 in UTC; empty if out of range, because producers can write any header."""
    try:
        return rfc3339(datetime.fromtimestamp(milliseconds / 1_000, UTC))
    except (OverflowError, ValueError, OSError):
        return ""


def _original(origin: RecordCoordinates) -> Original:
    return Original(
        topic=origin.topic,
        partition=origin.partition,
        offset=origin.offset,
        timestamp=format_timestamp(origin.timestamp_ms),
    )


def _base64(content: bytes | None) -> str | None:
    return None if content is None else b64encode(content).decode()

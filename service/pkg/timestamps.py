"""Parses and formats timestamps."""

from argparse import ArgumentTypeError
from datetime import UTC, datetime
from typing import Final

UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def parse_timestamp(text: str) -> datetime:
    """Parse RFC 3339 such as `2026-11-23T10:00:00Z`. Raises ArgumentTypeError, also without a time zone."""
    try:
        timestamp = datetime.fromisoformat(text)
    except ValueError:
        timestamp = datetime.min  # noqa: DTZ901 - has no time zone, so it is rejected below
    if timestamp.tzinfo is None:
        raise ArgumentTypeError("must be a timestamp with a time zone, such as 2026-11-23T10:00:00Z")
    return timestamp


def rfc3339(timestamp: datetime) -> str:
    """Format a UTC datetime with milliseconds, such as `2026-11-23T10:00:00.000Z`."""
    return timestamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_milliseconds(timestamp: datetime) -> int:
    """Return milliseconds since the Unix epoch, as in Kafka."""
    return round(timestamp.timestamp() * 1_000)

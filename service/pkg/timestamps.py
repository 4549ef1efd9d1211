"""Converts timestamps."""

from datetime import UTC, datetime, timedelta
from typing import Final

UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(timestamp: datetime) -> str:
    """Format a UTC datetime with milliseconds, such as `2026-11-23T10:00:00.000Z`."""
    return timestamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_milliseconds(milliseconds: int) -> datetime:
    """Return the UTC datetime of a timestamp of Kafka."""
    return UNIX_EPOCH + timedelta(milliseconds=milliseconds)


def to_milliseconds(timestamp: datetime) -> int:
    """Return milliseconds since the Unix epoch, as in Kafka."""
    return round(timestamp.timestamp() * 1_000)

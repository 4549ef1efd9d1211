"""Converts, formats and parses timestamps."""

from datetime import UTC, datetime, timedelta
from typing import Final

from service.pkg.units import parse_duration

UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FORM: Final = "must be a timestamp with a time zone, such as 2026-11-23T10:00:00Z"


def rfc3339(timestamp: datetime) -> str:
    """Format a UTC datetime with milliseconds, such as `2026-11-23T10:00:00.000Z`."""
    return timestamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_milliseconds(milliseconds: int) -> datetime:
    """Return the UTC datetime of a timestamp of Kafka."""
    return UNIX_EPOCH + timedelta(milliseconds=milliseconds)


def from_microseconds(microseconds: int) -> datetime:
    """Return the UTC datetime of microseconds since the Unix epoch. Raises OverflowError beyond its range."""
    return UNIX_EPOCH + timedelta(microseconds=microseconds)


def to_milliseconds(timestamp: datetime) -> int:
    """Return milliseconds since the Unix epoch, as in Kafka."""
    return round(timestamp.timestamp() * 1_000)


def parse_timestamp(text: str) -> datetime:
    """Parse RFC 3339 such as `2026-11-23T10:00:00Z`. Raises ValueError, also without a time zone."""
    try:
        timestamp = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(_FORM) from None  # without the text
    if timestamp.tzinfo is None:
        raise ValueError(_FORM)
    return timestamp


def parse_timestamp_or_age(text: str) -> datetime:
    """Parse a timestamp, or an age such as `90m` or `40d`: the time this long ago. Raises ValueError."""
    try:
        return datetime.now(UTC) - timedelta(seconds=parse_duration(text))
    except OverflowError:
        raise ValueError("must be at most 2000 years ago") from None
    except ValueError:
        pass
    try:
        return parse_timestamp(text)
    except ValueError as error:
        raise ValueError(f"{error}, or an age such as 40d") from None

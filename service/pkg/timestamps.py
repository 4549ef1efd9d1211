"""Parses and formats timestamps."""

from argparse import ArgumentTypeError
from datetime import datetime


def parse_moment(text: str) -> datetime:
    """Parse RFC 3339 such as `2026-11-23T10:00:00Z`. Raises ArgumentTypeError, also without a zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min  # noqa: DTZ901 - without a zone, so it is rejected below
    if moment.tzinfo is None:
        raise ArgumentTypeError("should be a time with a zone, such as 2026-11-23T10:00:00Z")
    return moment


def rfc3339(moment: datetime) -> str:
    """Format a UTC datetime with milliseconds, such as `2026-11-23T10:00:00.000Z`."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(moment: datetime) -> int:
    """Return a Kafka timestamp."""
    return round(moment.timestamp() * 1_000)

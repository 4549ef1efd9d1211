"""Points in time as text and as numbers."""

from argparse import ArgumentTypeError
from datetime import datetime


def parse_moment(text: str) -> datetime:
    """Turn RFC 3339, such as `2026-11-23T10:00:00Z`, into a datetime with a zone. Raises ArgumentTypeError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min  # noqa: DTZ901 - without a zone, so that it is refused
    if moment.tzinfo is None:
        raise ArgumentTypeError("should be a time with a zone, such as 2026-11-23T10:00:00Z")
    return moment


def rfc3339(moment: datetime) -> str:
    """Write a moment in UTC with its milliseconds, such as `2026-11-23T10:00:00.000Z`."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(moment: datetime) -> int:
    """Return what Kafka calls a timestamp."""
    return round(moment.timestamp() * 1_000)

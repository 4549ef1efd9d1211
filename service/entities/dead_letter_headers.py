"""The headers of dead letters and of replayed messages."""

import re
from typing import Final

from service.entities.version import MAX_PARTITION, MAX_TOPIC_LENGTH, RecordCoordinates

DLQ_PREFIX: Final = "dlq-"
MAX_DIGITS: Final = 18
"""Digits of an integer: enough for any offset or timestamp, and below 2^63."""
TOPIC_PATTERN: Final = f"[A-Za-z0-9._-]{{1,{MAX_TOPIC_LENGTH}}}"


class Header:
    """Names of the headers that are added to the original ones. All values are UTF-8 text.

    Not an enum: plain strings are compared and hashed faster, for every message with headers.
    """

    REASON: Final = "dlq-reason"
    DETAIL: Final = "dlq-detail"
    TOPIC: Final = "dlq-original-topic"
    PARTITION: Final = "dlq-original-partition"
    OFFSET: Final = "dlq-original-offset"
    TIMESTAMP: Final = "dlq-original-timestamp"
    GROUP: Final = "dlq-consumer-group"
    FAILED_AT: Final = "dlq-failed-at"
    ATTEMPTS: Final = "dlq-attempts"
    REPLAYS: Final = "dlq-replays"
    REPLAYED_BY: Final = "dlq-replayed-by"
    STUB: Final = "dlq-stub"


Headers = list[tuple[str, bytes | None]]
"""Kafka headers: ordered; names may repeat, and values may be null."""


def read_origin(headers: Headers | None) -> RecordCoordinates | None:
    """Return the first record of a dead-lettered or replayed message; None if it is absent or malformed.

    Any producer can set these headers, and they are copied to columns and headers, so values invalid in Kafka are
    rejected.
    """
    if not headers:
        return None
    values = {name: value for name, value in headers if value is not None and name.startswith(DLQ_PREFIX)}
    try:
        return RecordCoordinates(
            timestamp_ms=_parse_int(values[Header.TIMESTAMP]),
            partition=_parse_int(values[Header.PARTITION], maximum=MAX_PARTITION),
            offset=_parse_int(values[Header.OFFSET]),
            topic=_parse_topic(values[Header.TOPIC]),
        )
    except (KeyError, ValueError):
        return None


def read_replays(headers: Headers | None) -> int:
    """Return the number of replays; 0 if the header is absent or malformed."""
    values = [value for name, value in headers or () if name == Header.REPLAYS and value is not None]
    try:
        return _parse_int(values[-1]) if values else 0
    except ValueError:
        return 0


def known_headers(headers: Headers | None, max_value_bytes: int) -> Headers:
    """Return only the headers of `Header`, each value truncated to `max_value_bytes`.

    To bound their number, only the last null and the last other value of each name are kept.
    """
    found: dict[tuple[str, bool], bytes | None] = {}
    for name, value in reversed(headers or ()):
        if name in NAMES:
            found.setdefault((name, value is None), value and value[:max_value_bytes])
    return [(name, value) for (name, _), value in reversed(found.items())]


def without_dlq_headers(headers: Headers | None) -> Headers:
    """Return the headers without `dlq-*`: a dead letter gets its own."""
    return [(name, value) for name, value in headers or () if not name.startswith(DLQ_PREFIX)]


NAMES: Final = frozenset(getattr(Header, key) for key in Header.__annotations__)
_TOPIC: Final = re.compile(TOPIC_PATTERN.encode())


def _parse_topic(name: bytes) -> str:
    if not _TOPIC.fullmatch(name):
        raise ValueError("invalid topic name")
    return name.decode()


def _parse_int(text: bytes, maximum: int = 10**MAX_DIGITS) -> int:
    if not text.isdigit() or len(text) > MAX_DIGITS or int(text) > maximum:
        raise ValueError("invalid integer")
    return int(text)

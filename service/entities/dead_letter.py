"""Why a message was given up, and how a dead letter says so in its headers."""

import re
from enum import StrEnum
from typing import Any, Final, NamedTuple

from service.entities.version import MAX_TOPIC


class Reason(StrEnum):
    """The bounded set of reasons; also the label of the metric."""

    UNDECODABLE = "undecodable"
    """Not JSON text: malformed, not UTF-8, nested too deeply."""
    INVALID = "invalid"
    """JSON text that breaks a rule of the order document."""
    TOO_LARGE = "too-large"
    """Larger than the consumer accepts."""
    REJECTED = "rejected"
    """A valid order that PostgreSQL refused, or that could not be saved in the time allowed."""


class Violation(NamedTuple):
    """A broken rule: `path` like `items[0].price` (empty: the document itself), `rule` without values."""

    path: str
    rule: str

    def __str__(self) -> str:
        return f"{self.path}: {self.rule}" if self.path else self.rule


class DeadLetter(NamedTuple):
    """A message that is given up. `detail` names fields and rules, never values."""

    message: Any
    partition: int
    reason: Reason
    detail: str
    attempts: int = 1


class Header:
    """Names of the headers that a dead letter carries beside the original ones. All values are UTF-8 text."""

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
    STUB: Final = "dlq-stub"

    PREFIX: Final = "dlq-"


Headers = list[tuple[str, bytes | None]]
"""Headers as Kafka has them: ordered, names may repeat, a value may be null."""


class Origin(NamedTuple):
    """The record in which a message first came; a replayed message keeps it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


def read_origin(headers: Headers | None) -> Origin | None:
    """Return the first origin that replayed or dead-lettered messages name; None where it is absent or malformed.

    Anyone can write these headers, and they end up in columns and in other headers: only what Kafka can have passes.
    """
    if not headers:
        return None
    named = {name: value for name, value in headers if value is not None and name.startswith(Header.PREFIX)}
    try:
        return Origin(
            _topic(named[Header.TOPIC]),
            _whole(named[Header.PARTITION], at_most=_MAX_PARTITION),
            _whole(named[Header.OFFSET]),
            _whole(named[Header.TIMESTAMP]),
        )
    except (KeyError, ValueError):
        return None


def read_replays(headers: Headers | None) -> int:
    """Return how often the message was replayed; 0 where the header is absent or malformed."""
    values = [value for name, value in headers or () if name == Header.REPLAYS and value is not None]
    try:
        return _whole(values[-1]) if values else 0
    except ValueError:
        return 0


def known_headers(headers: Headers | None, at_most: int) -> Headers:
    """Return only our own `dlq-*` headers, each value cut to `at_most` bytes.

    Of each name the last one, and the last that is not null: so they are few, whoever wrote the message.
    """
    found: dict[tuple[str, bool], bytes | None] = {}
    for name, value in reversed(headers or ()):
        if name in _KNOWN:
            found.setdefault((name, value is None), value and value[:at_most])
    return [(name, value) for (name, _), value in reversed(found.items())]


def without_dlq_headers(headers: Headers | None) -> Headers:
    """Return the original headers: `dlq-*` ones are replaced in a dead letter, never appended."""
    return [(name, value) for name, value in headers or () if not name.startswith(Header.PREFIX)]


_KNOWN: Final = frozenset(name for key, name in vars(Header).items() if key.isupper() and name != Header.PREFIX)
_TOPIC: Final = re.compile(rb"[A-Za-z0-9._-]{1,%d}" % MAX_TOPIC)
_MAX_PARTITION: Final = 2**31 - 1
_MAX_DIGITS: Final = 18
"""Enough for any offset or millisecond of ours, and always below 2^63."""


def _topic(name: bytes) -> str:
    if not _TOPIC.fullmatch(name):
        raise ValueError("not a topic's name")
    return name.decode()


def _whole(text: bytes, at_most: int = 10**_MAX_DIGITS) -> int:
    if not text.isdigit() or len(text) > _MAX_DIGITS or int(text) > at_most:
        raise ValueError("not a whole number")
    return int(text)

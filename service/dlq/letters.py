"""Dead letters as they lie in their topic, and which of them are meant."""

from datetime import datetime
from hashlib import sha256
from typing import Final, NamedTuple

from confluent_kafka import Message

from service.entities.dead_letter import Header, Headers, Origin, read_origin, read_replays
from service.pkg.headers import headers_of
from service.pkg.moments import milliseconds

UNKNOWN: Final = "unknown"
_HASH_DIGITS: Final = 12


class Letter(NamedTuple):
    """One message of the dead-letter topic; key, value and headers are as Kafka gave them."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def reason(self) -> str:
        return self.text(Header.REASON) or UNKNOWN

    @property
    def replays(self) -> int:
        return read_replays(self.headers)

    @property
    def origin(self) -> Origin | None:
        return read_origin(self.headers)

    @property
    def is_stub(self) -> bool:
        return any(name == Header.STUB for name, _ in self.headers)

    def text(self, name: str) -> str:
        """Return a header's last value, fit for a terminal; empty where it is absent."""
        return next((printable(value) for header, value in reversed(self.headers) if header == name), "")


class Filters(NamedTuple):
    """Which dead letters are meant. `since` is when they came into the dead-letter topic."""

    reasons: frozenset[str] = frozenset()
    since: datetime | None = None

    @property
    def since_ms(self) -> int:
        return milliseconds(self.since) if self.since else 0

    def take(self, letter: Letter) -> bool:
        return letter.timestamp_ms >= self.since_ms and (not self.reasons or letter.reason in self.reasons)

    def fingerprint(self, *more: object) -> str:
        """Return a few digits that differ where the filters, or what is given beside them, differ."""
        meant = (sorted(self.reasons), self.since_ms, *more)
        return sha256(repr(meant).encode()).hexdigest()[:_HASH_DIGITS]


def read(message: Message) -> Letter:
    """Return the letter of a message that is not an error."""
    return Letter(
        message.partition() or 0,
        message.offset() or 0,
        message.timestamp()[1],
        message.key(),
        message.value(),
        headers_of(message) or [],
    )


def printable(value: str | bytes | None) -> str:
    """Return the text of a header or key with all that could steer a terminal replaced."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else value or ""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)

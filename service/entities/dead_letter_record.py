"""A record of the dead-letter topic."""

from typing import Final, NamedTuple, Self

from service.entities.dead_letter_headers import Header, Headers, known_headers, read_origin, read_replays
from service.entities.record import Record
from service.entities.version import RecordCoordinates

UNKNOWN_REASON: Final = "unknown"
_MAX_HEADER_BYTES: Final = 4_096
"""Maximum size of a header's value in an excerpt; `dlq-detail` is always shorter."""


class DeadLetterId(NamedTuple):
    """The place of a dead letter in its topic."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"partition {self.partition}, offset {self.offset}"


class DeadLetterRecord(NamedTuple):
    """A message of the dead-letter topic, with its key, value and headers unchanged."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @classmethod
    def of(cls, record: Record) -> Self:
        """Return a record of the dead-letter topic as a dead letter."""
        return cls(
            partition=record.partition,
            offset=record.offset,
            timestamp_ms=record.timestamp_ms,
            key=record.key,
            value=record.value,
            headers=record.headers or [],
        )

    @property
    def id(self) -> DeadLetterId:
        return DeadLetterId(self.partition, self.offset)

    @property
    def reason(self) -> str:
        return self.text(Header.REASON) or UNKNOWN_REASON

    @property
    def replays(self) -> int:
        return read_replays(self.headers)

    @property
    def origin(self) -> RecordCoordinates | None:
        return read_origin(self.headers)

    @property
    def is_stub(self) -> bool:
        return any(name == Header.STUB for name, _ in self.headers)

    def text(self, name: str) -> str:
        """Return the last value of a header, printable; empty if it is absent."""
        return next((printable(value) for header, value in reversed(self.headers) if header == name), "")

    def excerpt(self, max_bytes: int) -> "Excerpt":
        """Return a copy whose key and value are truncated to `max_bytes` each, without the original headers."""
        truncated = self._replace(
            key=self.key and self.key[:max_bytes],
            value=self.value and self.value[:max_bytes],
            headers=known_headers(self.headers, _MAX_HEADER_BYTES),
        )
        return Excerpt(truncated, len(self.value or b""))


class Excerpt(NamedTuple):
    """A dead letter that may be truncated. `size` is the length of the whole value in bytes."""

    dead_letter: DeadLetterRecord
    size: int


def printable(value: str | bytes | None) -> str:
    """Return the text with non-printable characters (terminal escapes) replaced."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else value or ""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)

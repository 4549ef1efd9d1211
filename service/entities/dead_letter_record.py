"""A dead letter as it lies in its topic."""

from typing import Final, NamedTuple

from service.entities.dead_letter import Header, Headers, Origin, known_headers, read_origin, read_replays

UNKNOWN: Final = "unknown"
_HEADER_BYTES: Final = 4_096
"""Of a header's value in an excerpt: more than `dlq-detail` ever has."""


class DeadLetterRecord(NamedTuple):
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

    def excerpt(self, at_most: int) -> "Excerpt":
        """Return it with no more than so many bytes of its key and of its value, and without the original headers."""
        cut = self._replace(
            key=self.key and self.key[:at_most],
            value=self.value and self.value[:at_most],
            headers=known_headers(self.headers, _HEADER_BYTES),
        )
        return Excerpt(cut, len(self.value or b""))


class Excerpt(NamedTuple):
    """A dead letter that may be cut short; `size` is the length of its whole value in bytes."""

    dead_letter: DeadLetterRecord
    size: int


def printable(value: str | bytes | None) -> str:
    """Return the text of a header or key with all that could steer a terminal replaced."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else value or ""
    return "".join(dead_letter if dead_letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for dead_letter in text)

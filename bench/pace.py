"""A pace, and how one process reports it to another."""

from typing import Self

import msgspec


class Pace(msgspec.Struct, frozen=True):
    messages: int
    """Done between the first commit and the last; what the first one covers was begun before and does not count."""
    seconds: float
    """Between these two."""
    all_messages: int
    """With those of the first commit."""
    cpu_seconds: float
    """Of the client, for all of them."""

    @property
    def rate(self) -> float:
        return self.messages / self.seconds

    @property
    def cpu_microseconds(self) -> float:
        """Per message."""
        return self.cpu_seconds / self.all_messages * 1e6

    def line(self) -> str:
        return msgspec.json.encode(self).decode()

    @classmethod
    def read(cls, line: str) -> Self:
        """Parse a reported line. Raises msgspec.DecodeError."""
        return msgspec.json.decode(line, type=cls)

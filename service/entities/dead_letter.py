"""Messages to dead-letter, and their reasons."""

from enum import StrEnum
from typing import NamedTuple

from service.entities.record import Record


class Reason(StrEnum):
    """The reason why a message was dead-lettered; also a metric label."""

    UNDECODABLE = "undecodable"
    """Not JSON: malformed, not UTF-8, or nested too deeply."""
    INVALID = "invalid"
    """JSON that violates a rule of the order document."""
    TOO_LARGE = "too-large"
    """Larger than the consumer accepts."""
    REJECTED = "rejected"
    """A valid order that the database rejected, or that could not be stored within `retry.give_up_after`."""


class Violation(NamedTuple):
    """A violated rule. `path` is like `items[0].price` (empty: the document itself); `rule` contains no values."""

    path: str
    rule: str

    def __str__(self) -> str:
        return f"{self.path}: {self.rule}" if self.path else self.rule


class DeadLetter(NamedTuple):
    """A message to dead-letter. `detail` names fields and rules, never values."""

    record: Record
    reason: Reason
    detail: str
    attempts: int = 1

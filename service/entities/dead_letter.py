"""Messages to dead-letter, and their reasons."""

from enum import StrEnum
from typing import Annotated, NamedTuple, Self

from msgspec import Meta, Struct

from service.entities.record import Record


class Reason(StrEnum):
    """The reason why a message was dead-lettered; also a metric label."""

    UNDECODABLE = "undecodable", "Not JSON, or not in an accepted format: malformed, not UTF-8, or nested too deeply."
    INVALID = "invalid", "JSON that violates a rule of the order document."
    TOO_LARGE = "too-large", "Larger than the consumer accepts."
    REJECTED = (
        "rejected",
        "A valid order that PostgreSQL rejected, or that was not stored within `ORDERS_RETRY__GIVE_UP_AFTER`.",
    )

    meaning: str
    """What happened, in the words of the reference."""

    def __new__(cls, value: str, meaning: str) -> Self:
        reason = str.__new__(cls, value)
        reason._value_ = value
        reason.meaning = meaning
        return reason


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


class Stub(Struct, frozen=True):
    """The value of a dead letter whose message is too large for the dead-letter topic."""

    original_topic: str
    original_partition: Annotated[int, Meta(ge=0)]
    original_offset: Annotated[int, Meta(ge=0)]
    size: Annotated[int, Meta(ge=0, description="Bytes of the original value.")]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="Hash of the original value.")]

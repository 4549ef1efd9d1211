"""Expected against found: counts in which every order and every dead letter stands exactly once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from generator.expected import dead_letter_digest, order_digest
from service.entities.dead_letter import Header, Reason, read_origin
from service.handler.kafka.client.headers import headers_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from confluent_kafka import Message

    from service.entities.dead_letter import Headers, Origin


@dataclass
class OrderCounts:
    """`stored` counts exact matches; the others are errors."""

    expected: int
    stored: int = 0
    missing: int = 0
    wrong_version: int = 0
    doubled: int = 0
    unexpected: int = 0

    @property
    def exact(self) -> bool:
        return self.stored == self.expected and not self.doubled and not self.unexpected


@dataclass
class DeadLetterCounts:
    """Dead letters of one reason.

    `again` has the origin of one that was there before, which a crash of the consumer explains; `doubled` has
    another origin, which nothing explains.
    """

    expected: int = 0
    found: int = 0
    missing: int = 0
    wrong_reason: int = 0
    again: int = 0
    doubled: int = 0
    unexpected: int = 0

    def is_exact(self, *, again_allowed: bool) -> bool:
        faulty = self.doubled or self.unexpected or (self.again and not again_allowed)
        return self.found == self.expected and not faulty


@dataclass
class DeadLetterTable:
    """Counts by reason; an unexpected dead letter counts under the reason in its headers."""

    rows: dict[str, DeadLetterCounts] = field(
        default_factory=lambda: {reason.value: DeadLetterCounts() for reason in Reason}
    )

    def __getitem__(self, reason: str) -> DeadLetterCounts:
        return self.rows.setdefault(reason, DeadLetterCounts())


def compare_orders(expected: Mapping[str, bytes], stored: Iterable[tuple[str, Any]]) -> OrderCounts:
    """Count rows of the tables; `expected` maps order_uid to digest."""
    counts, unseen = OrderCounts(len(expected)), set(expected)
    for uid, order in stored:
        if uid not in expected:
            counts.unexpected += 1
        elif uid not in unseen:
            counts.doubled += 1
        else:
            unseen.discard(uid)
            exact = _is_exactly(order, expected[uid])
            counts.stored += exact
            counts.wrong_version += not exact
    counts.missing = len(unseen)
    return counts


def _is_exactly(order: Any, digest: bytes) -> bool:
    try:
        return order_digest(order) == digest
    except (KeyError, TypeError, ValueError):
        return False  # a row without its date


def compare_dead_letters(
    expected: Mapping[bytes, Reason], dead_letters: Iterable[Message], topic: str
) -> DeadLetterTable:
    """Count dead letters; `expected` maps digest to reason, and all must have come from `topic`."""
    table = DeadLetterTable()
    seen: dict[bytes, Origin] = {}
    for reason in expected.values():
        table[reason].expected += 1
    for dead_letter in dead_letters:
        _count(dead_letter, expected, seen, table, topic)
    for reason, count in Counter(reason for digest, reason in expected.items() if digest not in seen).items():
        table[reason].missing = count
    return table


def _count(
    dead_letter: Message,
    expected: Mapping[bytes, Reason],
    seen: dict[bytes, Origin],
    table: DeadLetterTable,
    topic: str,
) -> None:
    headers = headers_of(dead_letter)
    digest, stated, origin = (
        dead_letter_digest(dead_letter.key(), dead_letter.value()),
        _stated_reason(headers),
        read_origin(headers),
    )
    if digest not in expected or origin is None or origin.topic != topic:
        table[stated].unexpected += 1
    elif digest in seen:
        repeated = seen[digest] == origin
        table[expected[digest]].again += repeated
        table[expected[digest]].doubled += not repeated
    else:
        seen[digest] = origin
        right = stated == expected[digest]
        table[expected[digest]].found += right
        table[expected[digest]].wrong_reason += not right


def _stated_reason(headers: Headers | None) -> str:
    values = [value for name, value in headers or () if name == Header.REASON and value is not None]
    return values[0].decode(errors="replace") if len(values) == 1 else "(none)"

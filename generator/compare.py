"""Compares the expected with the actual result, and counts every order and every dead letter exactly once."""

from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Message

from generator.dead_letter_headers import Origin, last_headers, origin_of
from generator.expected import dead_letter_digest, order_digest
from service.entities.dead_letter import Reason
from service.entities.dead_letter_headers import Header, Headers
from service.handler.kafka.client.headers import headers_of


@dataclass
class OrderCounts:
    """`stored` counts exact matches, `expired` missing orders that are too old to be stored; the others are errors."""

    expected: int
    stored: int = 0
    expired: int = 0
    missing: int = 0
    wrong_version: int = 0
    duplicated: int = 0
    unexpected: int = 0

    @property
    def exact(self) -> bool:
        return self.stored + self.expired == self.expected and not self.duplicated and not self.unexpected


@dataclass
class DeadLetterCounts:
    """Dead letters of one reason.

    `repeated` ones have the same origin as an earlier one, which a crash of the consumer explains. `duplicated` ones
    have another origin, which is always an error.
    """

    expected: int = 0
    found: int = 0
    missing: int = 0
    wrong_reason: int = 0
    repeated: int = 0
    duplicated: int = 0
    unexpected: int = 0

    def is_exact(self, *, allow_repeated: bool) -> bool:
        faulty = self.duplicated or self.unexpected or (self.repeated and not allow_repeated)
        return self.found == self.expected and not faulty


@dataclass
class DeadLetterTable:
    """Counts by reason; an unexpected dead letter counts under the reason in its headers."""

    rows: dict[str, DeadLetterCounts] = field(
        default_factory=lambda: {reason.value: DeadLetterCounts() for reason in Reason}
    )

    def __getitem__(self, reason: str) -> DeadLetterCounts:
        return self.rows.setdefault(reason, DeadLetterCounts())


def compare_orders(
    expected: Mapping[str, bytes], stored: Iterable[tuple[str, Any]], expired: AbstractSet[str] = frozenset()
) -> OrderCounts:
    """Compare the rows of the tables; `expected` maps order_uid to digest. Orders that are `expired` may be missing."""
    counts, unseen = OrderCounts(len(expected)), set(expected)
    for uid, order in stored:
        if uid not in expected:
            counts.unexpected += 1
        elif uid not in unseen:
            counts.duplicated += 1
        else:
            unseen.discard(uid)
            exact = _is_exactly(order, expected[uid])
            counts.stored += exact
            counts.wrong_version += not exact
    counts.expired = len(unseen & expired)
    counts.missing = len(unseen) - counts.expired
    return counts


def _is_exactly(order: Any, digest: bytes) -> bool:
    try:
        return order_digest(order) == digest
    except (KeyError, TypeError, ValueError):
        return False  # a required field is missing


def compare_dead_letters(
    expected: Mapping[bytes, Reason], dead_letters: Iterable[Message], topic: str
) -> DeadLetterTable:
    """Compare dead letters; `expected` maps digest to reason. The origin of each must be in `topic`."""
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
    digest = dead_letter_digest(dead_letter.key(), dead_letter.value())
    headers = headers_of(dead_letter)
    reason, origin = _reason_in(headers), origin_of(last_headers(headers))
    if digest not in expected or origin is None or origin.topic != topic:
        table[reason].unexpected += 1
    elif digest in seen:
        same_origin = seen[digest] == origin
        table[expected[digest]].repeated += same_origin
        table[expected[digest]].duplicated += not same_origin
    else:
        seen[digest] = origin
        is_expected_reason = reason == expected[digest]
        table[expected[digest]].found += is_expected_reason
        table[expected[digest]].wrong_reason += not is_expected_reason


def _reason_in(headers: Headers | None) -> str:
    values = [value for name, value in headers or () if name == Header.REASON and value is not None]
    return values[0].decode(errors="replace") if len(values) == 1 else "(none)"

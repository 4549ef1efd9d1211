"""Every message that a topic holds, against the tables and the dead-letter topic: it is in one of them, once, rightly.

Written from the contract alone, with nothing of the consumer's but the names of headers.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from generator.expected import dead_letter_digest, order_digest
from service.entities.dead_letter import Header, Reason, read_origin
from service.handler.kafka.client.headers import headers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from confluent_kafka import Message

    from service.entities.dead_letter import Headers

Place = tuple[int, int]
"""Partition and offset."""


class Version(NamedTuple):
    """Compared from left to right; by offset first where `version.compare_by` says so, within a partition."""

    timestamp_ms: int
    partition: int
    offset: int

    def is_newer_than(self, other: Version, order: str) -> bool:
        if order == "offset" and self.partition == other.partition:
            return self.offset > other.offset
        return self > other


class Row(NamedTuple):
    """An order as the tables have it."""

    uid: str
    version: Version
    document: Any


@dataclass
class CheckResult:
    """Where each of the `produced` messages is; the last five must be nothing."""

    produced: int = 0
    stored: int = 0
    """Messages whose order stands in the tables."""
    unchanged: int = 0
    """The same document as the one that stands there, under a smaller version."""
    stale: int = 0
    """Another document, under a smaller version."""
    dead_lettered: int = 0
    tombstones: int = 0
    erased: int = 0
    """Messages of orders that were erased, which must stand in no table."""
    again: int = 0
    """Dead letters whose origin has one already: allowed after a crash, unless they are to appear exactly once."""
    lost: int = 0
    doubled: int = 0
    wrong_version: int = 0
    wrong_dead_letter: int = 0
    """Another reason, other bytes."""
    unexpected: int = 0
    """Rows and dead letters of what nobody sent, and rows of what was erased."""

    @property
    def is_exact(self) -> bool:
        return not any((self.lost, self.doubled, self.wrong_version, self.wrong_dead_letter, self.unexpected))

    @property
    def accounted(self) -> int:
        return self.stored + self.unchanged + self.stale + self.dead_lettered + self.tombstones + self.erased


class FoundDeadLetter(NamedTuple):
    """What must lie in the dead-letter topic."""

    reason: Reason
    digest: bytes
    stub: tuple[int, str]


@dataclass
class _Order:
    """All messages of one id: how many of each document, and the greatest version."""

    version: Version
    digest: bytes
    seen: Counter[bytes] = field(default_factory=Counter)


class Checker:
    """Takes first what the topic holds, then what became of it. `refused` tells which messages are no orders."""

    def __init__(
        self, refused: Callable[[Message], Reason | None], *, order: str = "timestamp", erased: Collection[str] = ()
    ) -> None:
        self._refused = refused
        self._order = order
        self._erased = erased
        self._orders: dict[str, _Order] = {}
        self._dead_letters: dict[Place, list[FoundDeadLetter]] = {}
        self._verdict = CheckResult()

    def verdict(
        self,
        topic: Iterable[Message],
        rows: Iterable[Row],
        dead_letters: Iterable[Message],
        *,
        exactly_once: bool = False,
    ) -> CheckResult:
        for message in topic:
            self._add_message(message)
        self._check_rows(rows)
        self._check_dead_letters(dead_letters)
        if exactly_once:
            self._verdict.doubled += self._verdict.again
        return self._verdict

    def _add_message(self, message: Message) -> None:
        self._verdict.produced += 1
        value, reason = message.value() or b"", self._refused(message)
        if not value or value.strip(b" \t\n\r") == b"null":
            self._verdict.tombstones += 1
        elif reason is not None:
            stub = (len(value), hashlib.sha256(value).hexdigest())
            expected = FoundDeadLetter(reason, dead_letter_digest(message.key(), value), stub)
            self._dead_letters.setdefault(_version(message)[1:], []).append(expected)
        else:
            self._add_order(message, msgspec.json.decode(value))

    def _add_order(self, message: Message, document: Any) -> None:
        if document["order_uid"] in self._erased:
            self._verdict.erased += 1
        else:
            self._add_version(message, document)

    def _add_version(self, message: Message, document: Any) -> None:
        version, digest = _version(message), order_digest(document)
        order = self._orders.setdefault(document["order_uid"], _Order(version, digest))
        order.seen[digest] += 1
        if version.is_newer_than(order.version, self._order):
            order.version, order.digest = version, digest

    def _check_rows(self, rows: Iterable[Row]) -> None:
        missing, verdict = set(self._orders), self._verdict
        for row in rows:
            if row.uid not in self._orders:
                verdict.unexpected += 1
            elif row.uid not in missing:
                verdict.doubled += 1
            else:
                missing.discard(row.uid)
                self._check_row(row, self._orders[row.uid])
        verdict.lost += sum(self._orders[uid].seen.total() for uid in missing)

    def _check_row(self, row: Row, order: _Order) -> None:
        if row.version != order.version or order_digest(row.document) != order.digest:
            self._verdict.wrong_version += 1
            return
        same = order.seen[order.digest]
        self._verdict.stored += 1
        self._verdict.unchanged += same - 1
        self._verdict.stale += order.seen.total() - same

    def _check_dead_letters(self, dead_letters: Iterable[Message]) -> None:
        found: Counter[Place] = Counter()
        for dead_letter in dead_letters:
            headers = headers_of(dead_letter) or []
            origin = read_origin(headers)
            place = (origin.partition, origin.offset) if origin else (-1, -1)
            expected = self._dead_letters.get(place, [])
            found[place] += 1
            if not expected:
                self._verdict.unexpected += 1
            elif found[place] > len(expected):
                self._verdict.again += 1
            elif not _fits(dead_letter, headers, expected[0]):
                self._verdict.wrong_dead_letter += 1
            else:
                self._verdict.dead_lettered += 1
        self._verdict.lost += sum(max(0, len(expected) - found[at]) for at, expected in self._dead_letters.items())


def _version(message: Message) -> Version:
    """Return the version that a message gives its order: a replayed one keeps that of its first record."""
    if (origin := read_origin(headers_of(message))) is not None:
        return Version(origin.timestamp_ms, origin.partition, origin.offset)
    return Version(message.timestamp()[1], message.partition() or 0, message.offset() or 0)


def _fits(dead_letter: Message, headers: Headers, expected: FoundDeadLetter) -> bool:
    named = dict(headers)
    if named.get(Header.REASON) != expected.reason.encode():
        return False
    if named.get(Header.STUB) is not None:
        stub = msgspec.json.decode(dead_letter.value() or b"{}")
        return (stub["size"], stub["sha256"]) == expected.stub
    return dead_letter_digest(dead_letter.key(), dead_letter.value()) == expected.digest

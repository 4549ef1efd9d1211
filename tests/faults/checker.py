"""Accounts for every message of the topics: it must be in the tables or in the dead-letter topic, once and correctly.

Written from docs/delivery.md alone; it shares nothing with the consumer but the names of headers and reasons.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from confluent_kafka import Message

from generator.dead_letter_headers import last_headers, origin_of
from generator.expected import dead_letter_digest, order_digest
from generator.formats import document_in
from service.entities.dead_letter import Reason
from service.entities.dead_letter_headers import DLQ_PREFIX, Header, Headers

Position = tuple[str, int, int]
"""Topic, partition and offset."""


class Version(NamedTuple):
    """Compared from left to right; with `version.compare_by: offset`, first by offset within a partition."""

    timestamp_ms: int
    topic: str
    partition: int
    offset: int

    def is_newer_than(self, other: "Version", compare_by: str) -> bool:
        if compare_by == "offset" and (self.topic, self.partition) == (other.topic, other.partition):
            return self.offset > other.offset
        return self > other


class Row(NamedTuple):
    """An order in the tables."""

    uid: str
    version: Version
    document: Any


@dataclass
class CheckResult:
    """The fate of each of the `produced` messages. The last five counts are errors."""

    produced: int = 0
    stored: int = 0
    """Messages whose version is in the tables."""
    unchanged: int = 0
    """The same document as the stored one, with a smaller version."""
    stale: int = 0
    """Another document, with a smaller version."""
    dead_lettered: int = 0
    tombstones: int = 0
    erased: int = 0
    """Messages of erased orders, which must not be in any table."""
    repeated: int = 0
    """Further dead letters of the same message: allowed after a crash, unless delivery is exactly once."""
    lost: int = 0
    duplicated: int = 0
    wrong_version: int = 0
    wrong_dead_letter: int = 0
    """Wrong reason or wrong bytes."""
    unexpected: int = 0
    """Rows and dead letters that no message explains, and rows of erased orders."""

    @property
    def errors(self) -> int:
        return self.lost + self.duplicated + self.wrong_version + self.wrong_dead_letter + self.unexpected

    @property
    def is_exact(self) -> bool:
        return not self.errors

    @property
    def accounted(self) -> int:
        return self.stored + self.unchanged + self.stale + self.dead_lettered + self.tombstones + self.erased


class ExpectedDeadLetter(NamedTuple):
    reason: Reason
    digest: bytes
    stub: tuple[int, str]
    """Size and SHA-256 of the value."""
    headers: Headers


@dataclass
class _Order:
    """All messages of one order: the number of each document, and the greatest version."""

    version: Version
    digest: bytes
    seen: Counter[bytes] = field(default_factory=Counter)


class Checker:
    """Checks one scenario.

    `expected_reason` returns why a message must be dead-lettered; None for a valid order. `documents` are those of
    messages that need a schema, by value.
    """

    def __init__(
        self,
        expected_reason: Callable[[Message], Reason | None],
        documents: Mapping[bytes, Any] | None = None,
        *,
        compare_by: str = "timestamp",
        erased: Collection[str] = (),
    ) -> None:
        self._expected_reason = expected_reason
        self._documents = documents or {}
        self._compare_by = compare_by
        self._erased = erased
        self._orders: dict[str, _Order] = {}
        self._dead_letters: dict[Position, list[ExpectedDeadLetter]] = {}
        self._result = CheckResult()

    def check(
        self,
        sent: Iterable[Message],
        rows: Iterable[Row],
        dead_letters: Iterable[Message],
        *,
        exactly_once: bool = False,
    ) -> CheckResult:
        for message in sent:
            self._add_message(message)
        self._check_rows(rows)
        self._check_dead_letters(dead_letters)
        if exactly_once:
            self._result.duplicated += self._result.repeated
        return self._result

    def _add_message(self, message: Message) -> None:
        self._result.produced += 1
        value, reason = message.value() or b"", self._expected_reason(message)
        if reason is not None:
            stub = (len(value), hashlib.sha256(value).hexdigest())
            digest = dead_letter_digest(message.key(), value)
            expected = ExpectedDeadLetter(reason, digest, stub, _own_headers(message))
            self._dead_letters.setdefault(_version(message)[1:], []).append(expected)
        elif (document := self._documents.get(value) or document_in(value)) is None:
            self._result.tombstones += 1
        else:
            self._add_order(message, document)

    def _add_order(self, message: Message, document: Any) -> None:
        if document["order_uid"] in self._erased:
            self._result.erased += 1
        else:
            self._add_version(message, document)

    def _add_version(self, message: Message, document: Any) -> None:
        version, digest = _version(message), order_digest(document)
        order = self._orders.setdefault(document["order_uid"], _Order(version, digest))
        order.seen[digest] += 1
        if version.is_newer_than(order.version, self._compare_by):
            order.version, order.digest = version, digest

    def _check_rows(self, rows: Iterable[Row]) -> None:
        missing, result = set(self._orders), self._result
        for row in rows:
            if row.uid not in self._orders:
                result.unexpected += 1
            elif row.uid not in missing:
                result.duplicated += 1
            else:
                missing.discard(row.uid)
                self._check_row(row, self._orders[row.uid])
        result.lost += sum(self._orders[uid].seen.total() for uid in missing)

    def _check_row(self, row: Row, order: _Order) -> None:
        if row.version != order.version or order_digest(row.document) != order.digest:
            self._result.wrong_version += 1
            return
        same = order.seen[order.digest]
        self._result.stored += 1
        self._result.unchanged += same - 1
        self._result.stale += order.seen.total() - same

    def _check_dead_letters(self, dead_letters: Iterable[Message]) -> None:
        found: Counter[Position] = Counter()
        for dead_letter in dead_letters:
            headers = headers_in(dead_letter)
            origin = origin_of(headers)
            coordinates = (origin.topic, origin.partition, origin.offset) if origin else ("", -1, -1)
            expected = self._dead_letters.get(coordinates, [])
            found[coordinates] += 1
            if not expected:
                self._result.unexpected += 1
            elif found[coordinates] > len(expected):
                self._result.repeated += 1
            elif not _matches(dead_letter, headers, expected[0]):
                self._result.wrong_dead_letter += 1
            else:
                self._result.dead_lettered += 1
        self._result.lost += sum(max(0, len(expected) - found[at]) for at, expected in self._dead_letters.items())


def _version(message: Message) -> Version:
    """Return the version of the message's order: a replayed order keeps its original version."""
    origin = origin_of(headers_in(message))
    if origin:
        return Version(origin.timestamp_ms, origin.topic, origin.partition, origin.offset)
    return Version(message.timestamp()[1], message.topic() or "", message.partition() or 0, message.offset() or 0)


def headers_in(message: Message) -> dict[str, bytes]:
    """Return the last value of each name, without nulls."""
    headers: Any = message.headers()
    return last_headers(headers)


def _matches(dead_letter: Message, headers: dict[str, bytes], expected: ExpectedDeadLetter) -> bool:
    if headers.get(Header.REASON) != expected.reason.encode():
        return False
    if Header.STUB in headers:
        stub = msgspec.json.decode(dead_letter.value() or b"{}")
        return (stub["size"], stub["sha256"]) == expected.stub
    digest = dead_letter_digest(dead_letter.key(), dead_letter.value())
    return (digest, _own_headers(dead_letter)) == (expected.digest, expected.headers)


def _own_headers(message: Message) -> Headers:
    """Return the headers that its producer gave a message."""
    headers: Any = message.headers() or []
    return [(name, value) for name, value in headers if not name.startswith(DLQ_PREFIX)]

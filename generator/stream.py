"""Generates the messages of a plan. The same plan always gives the same messages in the same order."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate, count, cycle
from typing import Final, NamedTuple

from generator.faults import CATALOG, FULL_CATALOG, Fault
from generator.formats import JSON, wrap
from generator.orders import Document, Orders, Random, encode
from service.entities.dead_letter import Reason
from service.entities.dead_letter_headers import Headers

WINDOW: Final = 1_000
"""Number of newest orders that later messages can refer to. Bounds the memory of a stream of any length."""

STALE_BY_MS: Final = 60_000

VALID: Final = "valid"
UPDATE: Final = "update"
DUPLICATE: Final = "duplicate"
STALE: Final = "stale"
TOMBSTONE: Final = "tombstone"
TOMBSTONE_VALUES: Final = (None, b"", b"null", b" null\n")
"""Null, empty, and the JSON text `null`."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A stream of `count` messages, 0 for no limit. Messages that belong to none of the shares are new orders.

    Raises ValueError unless each share, and their sum, is between 0 and 1.
    """

    count: int = 1_000
    seed: int = 1
    invalid: float = 0.0
    """Share of faulty messages. All faults of the catalog are equally frequent."""
    duplicates: float = 0.0
    """Share of messages that repeat the newest version of an earlier order byte for byte."""
    stale: float = 0.0
    """Share of messages with an older version of an earlier order, which must not be stored."""
    updates: float = 0.0
    """Share of messages with a newer version of an earlier order, which must replace it."""
    tombstones: float = 0.0
    """Share of messages with the key of an earlier order and no order as value, which must change nothing."""
    too_large: bool = False
    """Whether the faults include values over 1 MiB."""
    until: datetime | None = datetime(2025, 1, 1, tzinfo=UTC)
    """The latest date of an order. None: each order has the current date, so the bytes differ between runs."""
    format: str = JSON
    """One of FORMATS."""

    def __post_init__(self) -> None:
        if self.count < 0 or self.seed < 0:
            raise ValueError("count and seed must not be negative")
        if min(self.shares) < 0 or sum(self.shares) > 1:
            raise ValueError("each share must be between 0 and 1, and their sum at most 1")

    @property
    def shares(self) -> tuple[float, ...]:
        return self.invalid, self.duplicates, self.stale, self.updates, self.tombstones


class Message(NamedTuple):
    """A message to produce. `kind` is VALID, UPDATE, DUPLICATE, STALE, TOMBSTONE or a fault's name.

    Only a fault has a `reason`.
    """

    key: bytes
    value: bytes | None
    kind: str
    reason: Reason | None = None
    timestamp_offset_ms: int = 0
    """0: the timestamp is the time of sending. Otherwise the offset from the start of the run.

    Counted from the start, a stale version is older than every message that the run has sent before it.
    """
    headers: Headers = []  # noqa: RUF012 - never changed


def stream(plan: Plan) -> Iterator[Message]:
    """Yield `plan.count` messages. A message that refers to an earlier order is a new order if there is none yet."""
    messages = _Messages(plan)
    for number in range(plan.count) if plan.count else count():
        message = messages.draw()
        yield message if plan.format == JSON else _formatted(message, plan.format, number)


def _formatted(message: Message, message_format: str, number: int) -> Message:
    value, headers = wrap(message.value, message_format, number)
    return message._replace(value=value, headers=headers)


class _Sent(NamedTuple):
    order: Document
    message: Message


class _Messages:
    def __init__(self, plan: Plan) -> None:
        # Two sources, so that the n-th new order of a seed does not depend on the shares.
        self._new = Orders(_seeded(2 * plan.seed), plan.until)
        self._random = _seeded(2 * plan.seed + 1)
        self._other = Orders(self._random, plan.until)
        self._faults = cycle(_shuffled(FULL_CATALOG if plan.too_large else CATALOG, self._random))
        self._sent: list[_Sent] = []
        self._new_orders = 0
        makers = self._fault, self._duplicate, self._stale, self._update, self._tombstone
        self._limits = tuple(zip(accumulate(plan.shares), makers, strict=True))

    def draw(self) -> Message:
        make = self._choose()
        return make() if self._sent or make == self._fault else self._valid()

    def _choose(self) -> Callable[[], Message]:
        choice = self._random()
        return next((make for limit, make in self._limits if choice < limit), self._valid)

    def _valid(self) -> Message:
        order = self._new.draw()
        sent = _Sent(order, _message(order, VALID))
        if len(self._sent) < WINDOW:
            self._sent.append(sent)
        else:
            self._sent[self._new_orders % WINDOW] = sent
        self._new_orders += 1
        return sent.message

    def _update(self) -> Message:
        slot = self._slot()
        order = self._other.revise(self._sent[slot].order)
        self._sent[slot] = _Sent(order, _message(order, UPDATE))
        return self._sent[slot].message

    def _duplicate(self) -> Message:
        return self._sent[self._slot()].message._replace(kind=DUPLICATE)

    def _stale(self) -> Message:
        older = self._other.revise(self._sent[self._slot()].order)
        return _message(older, STALE)._replace(timestamp_offset_ms=-STALE_BY_MS)

    def _tombstone(self) -> Message:
        key = self._sent[self._slot()].message.key
        return Message(key, TOMBSTONE_VALUES[int(self._random() * len(TOMBSTONE_VALUES))], TOMBSTONE)

    def _fault(self) -> Message:
        fault, order = next(self._faults), self._other.draw()
        key = order["order_uid"].encode()
        return Message(key, fault.make(order, self._random), fault.name, fault.reason)

    def _slot(self) -> int:
        return int(self._random() * len(self._sent))


def _message(order: Document, kind: str) -> Message:
    return Message(order["order_uid"].encode(), encode(order), kind)


def _seeded(seed: int) -> Random:
    return random.Random(seed).random  # noqa: S311 - must be reproducible


def _shuffled(faults: tuple[Fault, ...], random: Random) -> list[Fault]:
    """Shuffle the catalog, so that short streams do not always contain the same faults."""
    return sorted(faults, key=lambda _: random())

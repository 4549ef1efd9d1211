"""From a plan to messages: the same plan gives the same messages in the same order, everywhere."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate, count, cycle
from typing import TYPE_CHECKING, Final, NamedTuple

from generator.faults import CATALOGUE, FULL_CATALOGUE, Fault
from generator.orders import Document, Orders, Random, encoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from service.entities.dead_letter import Reason

WINDOW: Final = 1_000
"""Earlier orders that can come again. Bounds the memory of a stream of any length."""

STALE_BY_MS: Final = 60_000

VALID: Final = "valid"
UPDATE: Final = "update"
DUPLICATE: Final = "duplicate"
STALE: Final = "stale"
TOMBSTONE: Final = "tombstone"
NOTHING: Final = (None, b"", b"null", b" null\n")
"""The values of tombstones: none, an empty one, and the JSON text for none."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a stream holds: `count` messages in all, 0 for no end; what the shares leave over is new orders.

    Raises ValueError for shares that are not within 0 and 1, alone or together.
    """

    count: int = 1_000
    seed: int = 1
    invalid: float = 0.0
    """Faults of the catalogue, each as often as any other."""
    duplicates: float = 0.0
    """An earlier order again: its newest version, byte for byte."""
    stale: float = 0.0
    """An earlier order in another version with an earlier timestamp, which must change nothing."""
    updates: float = 0.0
    """An earlier order in a newer version, which must replace it."""
    tombstones: float = 0.0
    """The key of an earlier order with a null or empty value or the text `null`, which must change nothing."""
    too_large: bool = False
    """Whether the faults include values over 1 MiB."""
    until: datetime | None = datetime(2025, 1, 1, tzinfo=UTC)
    """No order is dated later. With None each is dated as it is drawn, so that its bytes differ from run to run."""

    def __post_init__(self) -> None:
        if self.count < 0 or self.seed < 0:
            raise ValueError("count and seed must not be negative")
        if min(self.shares) < 0 or sum(self.shares) > 1:
            raise ValueError("shares must lie between 0 and 1, and add up to 1 at most")

    @property
    def shares(self) -> tuple[float, ...]:
        return self.invalid, self.duplicates, self.stale, self.updates, self.tombstones


class Message(NamedTuple):
    """A record to produce. `kind` is one of the five words above, or a fault's name; only a fault has a `reason`."""

    key: bytes
    value: bytes | None
    kind: str
    reason: Reason | None = None
    timestamp_offset_ms: int = 0
    """Where it is not 0, count from the start of the run and not from now.

    Then a stale version is older than anything that the run sent before it, however slowly it was sent.
    """


def stream(plan: Plan) -> Iterator[Message]:
    """Yield `plan.count` messages. What repeats an earlier order is a new order as long as there is none."""
    mixer = _Mixer(plan)
    for _ in range(plan.count) if plan.count else count():
        yield mixer.draw()


class _Sent(NamedTuple):
    order: Document
    message: Message


class _Mixer:
    def __init__(self, plan: Plan) -> None:
        # Two sources: whatever is mixed in, the n-th new order of a seed stays the same.
        self._new = Orders(_source(2 * plan.seed), plan.until)
        self._random = _source(2 * plan.seed + 1)
        self._other = Orders(self._random, plan.until)
        self._faults = cycle(_shuffled(FULL_CATALOGUE if plan.too_large else CATALOGUE, self._random))
        self._sent: list[_Sent] = []
        self._new_orders = 0
        makers = self._fault, self._duplicate, self._stale, self._update, self._tombstone
        self._limits = tuple(zip(accumulate(plan.shares), makers, strict=True))

    def draw(self) -> Message:
        make = self._chosen()
        return make() if self._sent or make == self._fault else self._valid()

    def _chosen(self) -> Callable[[], Message]:
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
        order = self._other.revised(self._sent[slot].order)
        self._sent[slot] = _Sent(order, _message(order, UPDATE))
        return self._sent[slot].message

    def _duplicate(self) -> Message:
        return self._sent[self._slot()].message._replace(kind=DUPLICATE)

    def _stale(self) -> Message:
        older = self._other.revised(self._sent[self._slot()].order)
        return _message(older, STALE)._replace(timestamp_offset_ms=-STALE_BY_MS)

    def _tombstone(self) -> Message:
        key = self._sent[self._slot()].message.key
        return Message(key, NOTHING[int(self._random() * len(NOTHING))], TOMBSTONE)

    def _fault(self) -> Message:
        fault, order = next(self._faults), self._other.draw()
        key = order["order_uid"].encode()
        return Message(key, fault.make(order, self._random), fault.name, fault.reason)

    def _slot(self) -> int:
        return int(self._random() * len(self._sent))


def _message(order: Document, kind: str) -> Message:
    return Message(order["order_uid"].encode(), encoded(order), kind)


def _source(seed: int) -> Random:
    return random.Random(seed).random  # noqa: S311 - it must be repeatable


def _shuffled(faults: tuple[Fault, ...], random: Random) -> list[Fault]:
    """Mix the catalogue, for a short stream would else meet its beginning alone."""
    return sorted(faults, key=lambda _: random())

"""What is read while PostgreSQL refuses orders: a few messages at a time, of which nothing is committed."""

from dataclasses import dataclass, field
from typing import Self

from service.usecases.batch import Batch

_PATIENCE_SECONDS = 2.0
"""Nothing more to try has come for so long: the end of the topic was reached."""


@dataclass(slots=True)
class Probe:
    """Where reading begins again once an order is stored, and where the next attempt begins.

    Each attempt reads on from the last one, and twice as many messages: so whatever is refused for good, the orders
    behind it are found. At the end of the topic the next one begins at the first message that is held back.
    """

    size: int
    held: dict[int, int]
    """By partition: the first offset that is held back."""
    next: dict[int, int]
    """By partition: where the next attempt begins."""
    tried: dict[int, int] = field(default_factory=dict)
    """By partition: before which offset all was tried."""
    began: float = 0

    @classmethod
    def before(cls, batch: Batch, unread: Batch, size: int) -> Self:
        """Hold back two batches: the one that was refused, and the one behind it."""
        held = unread.beginning | batch.beginning
        return cls(size, held, dict(held))

    def add(self, batch: Batch, unread: Batch) -> None:
        """Note that a batch was tried, and that the one behind it was not."""
        self.held = unread.beginning | batch.beginning | self.held
        self.next = self.next | batch.end | unread.beginning
        for partition, offset in batch.end.items():
            self.tried[partition] = max(offset, self.tried.get(partition, 0))

    def grow(self, most: int) -> None:
        self.size = min(2 * self.size, most)

    def is_at_end(self, now: float) -> bool:
        return self.next != self.held and now - self.began > _PATIENCE_SECONDS

    def rewind(self) -> dict[int, int]:
        """Begin anew with all that is held back; return where that is."""
        self.next = dict(self.held)
        return self.next

    def forget(self, partitions: frozenset[int]) -> None:
        for partition in partitions:
            for offsets in (self.held, self.next, self.tried):
                offsets.pop(partition, None)

"""Which messages are tried while PostgreSQL rejects orders; none of them is committed."""

from dataclasses import dataclass, field
from typing import Self

from service.usecases.batch import Batch

_END_AFTER_SECONDS = 2.0
"""If no message arrives for this long, the end of the topic is reached."""


@dataclass(slots=True)
class Probe:
    """Offsets of the messages that are held back, and of the next probe.

    Each probe continues after the last one with twice as many messages, so that it gets past orders that PostgreSQL
    rejects permanently. At the end of the topic the next probe starts at the first message that is held back.
    """

    size: int
    held_back: dict[int, int]
    """By partition the first offset that is held back."""
    next: dict[int, int]
    """By partition the offset at which the next probe starts."""
    probed_until: dict[int, int] = field(default_factory=dict)
    """By partition the offset before which every message was tried."""
    began: float = 0

    @classmethod
    def before(cls, batch: Batch, unread: Batch, size: int) -> Self:
        """Hold back two batches: the rejected one, and the unread one after it."""
        held_back = unread.start_offsets | batch.start_offsets
        return cls(size, held_back, dict(held_back))

    def add(self, batch: Batch, unread: Batch) -> None:
        """Note that a batch was tried, and the one after it was not."""
        self.held_back = unread.start_offsets | batch.start_offsets | self.held_back
        self.next = self.next | batch.commit_offsets | unread.start_offsets
        for partition, offset in batch.commit_offsets.items():
            self.probed_until[partition] = max(offset, self.probed_until.get(partition, 0))

    def grow(self, most: int) -> None:
        self.size = min(2 * self.size, most)

    def is_at_end(self, now: float) -> bool:
        return self.next != self.held_back and now - self.began > _END_AFTER_SECONDS

    def rewind(self) -> dict[int, int]:
        """Start again at the first messages that are held back; return their offsets."""
        self.next = dict(self.held_back)
        return self.next

    def forget(self, partitions: frozenset[int]) -> None:
        for partition in partitions:
            for offsets in (self.held_back, self.next, self.probed_until):
                offsets.pop(partition, None)

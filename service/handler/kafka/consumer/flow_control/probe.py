"""Selects the messages that are tried while PostgreSQL rejects orders. None of their offsets is committed."""

from dataclasses import dataclass, field
from typing import Final, Self

from service.entities.partition import Partition
from service.usecases.batch import Batch

_END_OF_TOPIC_SECONDS: Final = 2.0
"""Duration of a probe after which the end of the topic is reached: no more messages arrive."""


@dataclass(slots=True)
class Probe:
    """Offsets of the messages that are held back, and of the next probe.

    Each probe continues after the last one with twice as many messages, so that it gets past orders that PostgreSQL
    rejects permanently. At the end of the topic the next probe starts at the first message that is held back.
    """

    size: int
    held_back: dict[Partition, int]
    """The first offset, by partition, that is held back."""
    next: dict[Partition, int]
    """The offset, by partition, at which the next probe starts."""
    tried_until: dict[Partition, int] = field(default_factory=dict)
    """The offset, by partition, before which every message was tried."""
    started_at: float = 0
    """Start of the current probe, as a value of time.monotonic()."""
    starts_over: bool = False
    """Whether the current probe is the first one after the end of the topic was reached."""

    @classmethod
    def before(cls, batch: Batch, next_batch: Batch, size: int) -> Self:
        """Hold back two batches: the rejected one, and the next one."""
        held_back = next_batch.start_offsets | batch.start_offsets
        return cls(size, held_back, dict(held_back))

    def add(self, batch: Batch, next_batch: Batch) -> None:
        """Record that `batch` was tried, and that `next_batch` was read but not tried."""
        self.starts_over = False
        self.held_back = next_batch.start_offsets | batch.start_offsets | self.held_back
        self.next = self.next | batch.commit_offsets | next_batch.start_offsets
        for partition, offset in batch.commit_offsets.items():
            self.tried_until[partition] = max(offset, self.tried_until.get(partition, offset))

    def grow(self, max_messages: int) -> None:
        self.size = min(2 * self.size, max_messages)

    def is_at_end(self, now: float) -> bool:
        return self.next != self.held_back and now - self.started_at > _END_OF_TOPIC_SECONDS

    def rewind(self) -> dict[Partition, int]:
        """Restart at the first messages that are held back; return their offsets."""
        self.next, self.starts_over = dict(self.held_back), True
        return self.next

    def drop(self, partitions: frozenset[Partition]) -> None:
        for partition in partitions:
            for offsets in (self.held_back, self.next, self.tried_until):
                offsets.pop(partition, None)

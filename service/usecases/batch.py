"""What came from Kafka while the last batch was being written, sorted into orders and dead letters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from service.entities.dead_letter import DeadLetter
from service.entities.version import VersionedOrder


class Entry(NamedTuple):
    """A valid order and the message that it came in, which only the dead-letter topic's producer looks into."""

    versioned: VersionedOrder
    message: Any
    partition: int
    offset: int


_Part = TypeVar("_Part", Entry, DeadLetter)


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """A batch is full when one of them is reached."""

    messages: int = 4_000
    bytes: int = 16 * 2**20
    items: int = 50_000


@dataclass(slots=True)
class Batch:
    """Belongs to the reading thread until it is submitted, then to the writing thread until that is done with it.

    Only `dropped` changes meanwhile: the reading thread replaces the frozenset (an atomic store), and the writing
    thread reads it before each attempt. A partition that is dropped later is fenced off by the broker's generation, or
    its orders are stored twice, which changes nothing.
    """

    entries: list[Entry] = field(default_factory=list)
    rejected: list[DeadLetter] = field(default_factory=list)
    outcomes: bytearray = field(default_factory=bytearray)
    """1 for each bad message and 0 for each good one, as they came."""
    first_offsets: dict[int, int] = field(default_factory=dict)
    """By partition: that of the first record."""
    next_offsets: dict[int, int] = field(default_factory=dict)
    """By partition: the one after the last record."""
    last_ms: dict[int, int] = field(default_factory=dict)
    """By partition: the timestamp of the last record."""
    tombstones: int = 0
    bytes: int = 0
    items: int = 0
    tried: Mapping[int, int] = field(default_factory=dict)
    """By partition: before this offset PostgreSQL refused orders while it stored others, so that they are to blame."""
    dropped: frozenset[int] = frozenset()
    """Partitions that were taken away since; what came from them is another member's now."""

    def __len__(self) -> int:
        return len(self.entries) + len(self.rejected) + self.tombstones

    def is_full(self, limits: BatchLimits) -> bool:
        """Tell whether the batch takes no more. A partition that was taken away and comes back begins a new one."""
        return (
            bool(self.dropped)
            or len(self) >= limits.messages
            or self.bytes >= limits.bytes
            or self.items >= limits.items
        )

    @property
    def beginning(self) -> dict[int, int]:
        """By partition that is still ours: where to begin anew if nothing of the batch is to count."""
        return {partition: offset for partition, offset in self.first_offsets.items() if self.holds(partition)}

    @property
    def end(self) -> dict[int, int]:
        """By partition that is still ours: what to commit when all of the batch is done."""
        return {partition: offset for partition, offset in self.next_offsets.items() if self.holds(partition)}

    def note(self, partition: int, offset: int, timestamp_ms: int, size: int) -> None:
        """Remember that a record of `size` bytes was taken; an offset to commit is that of the next record."""
        self.first_offsets.setdefault(partition, offset)
        self.next_offsets[partition] = offset + 1
        self.last_ms[partition] = timestamp_ms
        self.bytes += size

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.outcomes.append(0)
        self.items += len(entry.versioned.order.items)

    def reject(self, dead_letter: DeadLetter) -> None:
        self.rejected.append(dead_letter)
        self.outcomes.append(1)

    def skip(self) -> None:
        self.tombstones += 1

    def is_to_blame(self, refused: Entry) -> bool:
        """Tell whether it is known already that it is not PostgreSQL which refuses everything."""
        return refused.offset < self.tried.get(refused.partition, 0)

    def drop(self, partitions: frozenset[int]) -> None:
        self.dropped |= partitions & self.next_offsets.keys()

    def owned(self, parts: list[_Part]) -> list[_Part]:
        """Return those whose partition was not dropped."""
        return [part for part in parts if self.holds(part.partition)] if self.dropped else parts

    def holds(self, partition: int) -> bool:
        return partition not in self.dropped

"""A batch of consumed messages, decoded to orders and dead letters."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from service.entities.dead_letter import DeadLetter
from service.entities.message_format import MessageFormat
from service.entities.partition import Partition
from service.entities.record import Record
from service.entities.version import VersionedOrder


class ConsumedOrder(NamedTuple):
    """A valid order, and its record, which is dead-lettered if the order is rejected."""

    versioned: VersionedOrder
    record: Record


_Message = TypeVar("_Message", ConsumedOrder, DeadLetter)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """A batch that reaches one of these limits is submitted."""

    messages: int
    bytes: int
    items: int


@dataclass(slots=True)
class Batch:
    """Messages that are written together.

    The reading thread fills a batch and submits it to the writing thread, which decodes its `undecoded` records. After
    that, the reading thread changes only `dropped`, by replacing the frozenset (an atomic store); the writing thread
    reads it before each attempt. If a partition is dropped during an attempt, either its orders are written twice,
    which is idempotent, or the broker rejects the commit because its generation is old.
    """

    orders: list[ConsumedOrder] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    """Undecodable, invalid and too large messages."""
    undecoded: deque[Record] = field(default_factory=deque)
    """The last records of the batch, from the first one whose schema is not loaded. The writing thread decodes them."""
    formats_decoded_later: list[MessageFormat] = field(default_factory=list)
    """Of the records that the writing thread has decoded. The reading thread counts them."""
    message_flags: bytearray = field(default_factory=bytearray)
    """1 for each bad message, 0 for each order, in order of consumption."""
    first_offsets: dict[Partition, int] = field(default_factory=dict)
    """Offset of the first record, by partition."""
    next_offsets: dict[Partition, int] = field(default_factory=dict)
    """Offset after the last record, by partition."""
    last_timestamps_ms: dict[Partition, int] = field(default_factory=dict)
    """Timestamp of the last record, by partition."""
    leader_epochs: dict[Partition, int | None] = field(default_factory=dict)
    """Leader epoch of the last record, by partition."""
    tombstones: int = 0
    bytes: int = 0
    items: int = 0
    probed_offsets: Mapping[Partition, int] = field(default_factory=dict)
    """Offsets by partition. Later orders were stored: if an earlier one is rejected, its data is at fault."""
    starts_over: bool = False
    """Whether the batch is a probe, and the probes before it have tried everything that is held back."""
    dropped: frozenset[Partition] = frozenset()
    """Partitions that were revoked: their records belong to another member."""
    _last_partition: Partition = field(default=Partition("", -1), init=False, repr=False, compare=False)
    """Of the last record: most records have the same one as the record before."""

    def __len__(self) -> int:
        return len(self.orders) + len(self.dead_letters) + self.tombstones + len(self.undecoded)

    def must_submit(self, limits: BatchLimits) -> bool:
        """Return whether no further message may be added: a limit is reached, or a partition was dropped.

        A dropped partition that is assigned again needs a new batch. Undecoded records have an unknown number of items.
        """
        return (
            bool(self.dropped or self.undecoded)
            or len(self) >= limits.messages
            or self.bytes >= limits.bytes
            or self.items >= limits.items
        )

    @property
    def start_offsets(self) -> dict[Partition, int]:
        """The offset, by owned partition, to read from if the batch is discarded."""
        return {partition: offset for partition, offset in self.first_offsets.items() if self.owns(partition)}

    @property
    def commit_offsets(self) -> dict[Partition, int]:
        """The offset, by owned partition, to commit once the batch is written."""
        return {partition: offset for partition, offset in self.next_offsets.items() if self.owns(partition)}

    def track(self, record: Record) -> None:
        """Count the size and the offset of a consumed record."""
        partition = self._last_partition
        if record.partition != partition.number or record.topic != partition.topic:
            partition = self._last_partition = record.topic_partition
            self.first_offsets.setdefault(partition, record.offset)
        self.next_offsets[partition] = record.offset + 1
        self.last_timestamps_ms[partition] = record.timestamp_ms
        self.leader_epochs[partition] = record.leader_epoch
        self.bytes += record.size

    def add_order(self, order: ConsumedOrder) -> None:
        self.orders.append(order)
        self.message_flags.append(0)
        self.items += len(order.versioned.order.items)

    def add_dead_letter(self, dead_letter: DeadLetter) -> None:
        self.dead_letters.append(dead_letter)
        self.message_flags.append(1)

    def add_tombstone(self) -> None:
        self.tombstones += 1

    def is_already_probed(self, rejected: ConsumedOrder) -> bool:
        """Return whether a probe showed that a rejected order, not the database, is at fault."""
        return rejected.record.offset < self.probed_offsets.get(rejected.record.topic_partition, 0)

    def drop(self, partitions: frozenset[Partition]) -> None:
        self.dropped |= partitions & self.next_offsets.keys()

    def owned(self, messages: list[_Message]) -> list[_Message]:
        """Return the messages of owned partitions."""
        if not self.dropped:
            return messages
        return [message for message in messages if self.owns(message.record.topic_partition)]

    def owns(self, partition: Partition) -> bool:
        return partition not in self.dropped

"""Interfaces that the statistics of the API require."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from service.entities.partition import Partition


class PoolUsage(NamedTuple):
    max_size: int
    size: int
    """Connections of the pool, including those that are being established."""
    available: int
    """Connections that a read can have at once."""
    waiting: int
    """Reads that wait for a connection."""


class ReadConnections(Protocol):
    @property
    def is_reachable(self) -> bool:
        """Whether the last read reached PostgreSQL."""

    @property
    def usage(self) -> PoolUsage: ...


class Notifications(Protocol):
    @property
    def is_verified(self) -> bool:
        """Whether every notification sent until recently has arrived."""


class PartitionDepth(NamedTuple):
    """A partition of a topic that the group reads."""

    next_offset: int
    """The committed offset, or the first one if none is committed."""
    lag: int
    """Readable messages that the group has not committed."""


class TopicDepths(NamedTuple):
    partitions: Mapping[Partition, PartitionDepth]
    dead_letters: int
    """Messages in the dead-letter topic."""

    @property
    def lag(self) -> int:
        return sum(partition.lag for partition in self.partitions.values())


class GroupMember(NamedTuple):
    client_id: str
    partitions: list[Partition]
    """In order. Empty while the group rebalances."""


class LagReader(Protocol):
    def read_if_available(self) -> TopicDepths | None:
        """Block for seconds. Return None while Kafka is unavailable."""


class MembersReader(Protocol):
    def read_if_available(self) -> Sequence[GroupMember] | None:
        """Block for seconds. Return None if the members are unknown."""


ReadNextTimestamps = Callable[[Mapping[Partition, int]], dict[Partition, int]]
"""Returns the timestamp (ms) of the first message at or after each partition's offset. Raises KafkaRequestFailed."""

"""What librdkafka tells of itself every few seconds, as far as we look at it."""

from typing import Final, NamedTuple

import msgspec

_FETCHING: Final = "active"


class PartitionEnd(NamedTuple):
    """Where a partition ends, and the last stable offset: where its first open transaction begins, if there is one."""

    end: int
    stable: int

    @property
    def locked(self) -> int:
        """Messages from the first open transaction on, which nobody may read yet."""
        return max(self.end - self.stable, 0)


class _Broker(msgspec.Struct, frozen=True):
    state: str


class _Partition(msgspec.Struct, frozen=True):
    committed_offset: int
    """Negative where the group never committed."""
    lo_offset: int
    fetch_state: str
    hi_offset: int
    ls_offset: int
    """Negative before the first fetch, like the one before."""


class _Topic(msgspec.Struct, frozen=True):
    partitions: dict[str, _Partition]


class Statistics(msgspec.Struct, frozen=True):
    brokers: dict[str, _Broker]
    topics: dict[str, _Topic] = {}

    @classmethod
    def read(cls, text: str) -> "Statistics":
        return msgspec.json.decode(text, type=cls)

    @property
    def any_broker_is_up(self) -> bool:
        return any(broker.state == "UP" for broker in self.brokers.values())

    def fetched(self, topic: str) -> set[int]:
        """Return the partitions that the client fetches from: it knows where to read on."""
        return {number for number, partition in self._partitions(topic) if partition.fetch_state == _FETCHING}

    def committed(self, topic: str) -> dict[int, int]:
        """Return where the group stands in each partition; at its earliest record where it never committed."""
        return {
            number: max(partition.committed_offset, partition.lo_offset, 0)
            for number, partition in self._partitions(topic)
        }

    def ends(self, topic: str) -> dict[int, PartitionEnd]:
        """Return where each partition ends, as its last fetch told."""
        return {
            number: PartitionEnd(partition.hi_offset, partition.ls_offset)
            for number, partition in self._partitions(topic)
            if partition.ls_offset >= 0
        }

    def _partitions(self, topic: str) -> list[tuple[int, _Partition]]:
        """Return none of a topic that the client has not heard of."""
        known = self.topics.get(topic)
        return [(int(number), partition) for number, partition in known.partitions.items()] if known else []

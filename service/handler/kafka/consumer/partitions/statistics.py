"""The fields of librdkafka's statistics that the consumer uses."""

from typing import Final, NamedTuple

import msgspec

_FETCHING: Final = "active"


class PartitionEnd(NamedTuple):
    """The end of a partition, and its last stable offset: the start of its first open transaction, if any."""

    end: int
    stable: int

    @property
    def open_transaction_messages(self) -> int:
        """Messages from the first open transaction on, which cannot be read yet."""
        return max(self.end - self.stable, 0)


class _Broker(msgspec.Struct, frozen=True):
    state: str


class _Partition(msgspec.Struct, frozen=True):
    committed_offset: int
    """Negative if the group never committed."""
    lo_offset: int
    fetch_state: str
    hi_offset: int
    ls_offset: int
    """Negative before the first fetch, like `hi_offset`."""


class _Topic(msgspec.Struct, frozen=True):
    partitions: dict[str, _Partition]


class LatestStatistics:
    """The client's last statistics, until they are read."""

    def __init__(self) -> None:
        self._text: str | None = None

    def put(self, text: str) -> None:
        self._text = text

    def take(self) -> "Statistics | None":
        text, self._text = self._text, None
        return None if text is None else Statistics.read(text)

    def discard(self) -> None:
        self._text = None


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
        """Return the partitions that the client fetches."""
        return {number for number, partition in self._partitions(topic) if partition.fetch_state == _FETCHING}

    def committed(self, topic: str) -> dict[int, int]:
        """Return the committed offset of each partition, or its first one if the group never committed."""
        return {
            number: max(partition.committed_offset, partition.lo_offset, 0)
            for number, partition in self._partitions(topic)
        }

    def ends(self, topic: str) -> dict[int, PartitionEnd]:
        """Return the end of each partition, as of its last fetch."""
        return {
            number: PartitionEnd(partition.hi_offset, partition.ls_offset)
            for number, partition in self._partitions(topic)
            if partition.ls_offset >= 0
        }

    def _partitions(self, topic: str) -> list[tuple[int, _Partition]]:
        """Return the partitions of a topic; none if the client does not know it."""
        known = self.topics.get(topic)
        return [(int(number), partition) for number, partition in known.partitions.items()] if known else []

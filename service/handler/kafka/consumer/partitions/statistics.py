"""The fields of librdkafka's statistics that the consumer uses."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from service.entities.partition import Partition

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

    @property
    def fetched(self) -> set[Partition]:
        """The partitions that the client fetches."""
        return {partition for partition, each in self._partitions if each.fetch_state == _FETCHING}

    @property
    def committed(self) -> dict[Partition, int]:
        """The committed offset of each partition, or its first one if the group never committed."""
        return {partition: max(each.committed_offset, each.lo_offset, 0) for partition, each in self._partitions}

    @property
    def ends(self) -> dict[Partition, PartitionEnd]:
        """The end of each partition, as of its last fetch."""
        return {
            partition: PartitionEnd(each.hi_offset, each.ls_offset)
            for partition, each in self._partitions
            if each.ls_offset >= 0
        }

    @property
    def _partitions(self) -> Iterator[tuple[Partition, _Partition]]:
        for topic, known in self.topics.items():
            for number, each in known.partitions.items():
                yield Partition(topic, int(number)), each

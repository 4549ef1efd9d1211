"""The version of an order: the coordinates of its Kafka record."""

from typing import Final, Literal, NamedTuple, Self

from msgspec import Struct

from service.entities.order import Order

CompareBy = Literal["timestamp", "offset"]
"""What decides between two versions: the records' timestamps, or offsets first within a partition of a topic."""

MAX_TOPIC_LENGTH: Final = 249
"""Kafka's limit of a topic name, in characters."""
MAX_PARTITION: Final = 2**31 - 1
MAX_OFFSET: Final = 2**63 - 1
MAX_TIMESTAMP_MS: Final = 253_402_300_799_999
"""The end of the year 9999. A record's timestamp may be any 64-bit integer."""


Version = tuple[int, int, int]
"""The timestamp in milliseconds, partition and offset of a record."""


class RecordCoordinates(NamedTuple):
    """The coordinates of a record, which are the version of its order."""

    timestamp_ms: int
    partition: int
    offset: int
    topic: str

    @property
    def version(self) -> Version:
        """The version as readers of notifications and events see it, without the topic."""
        return self[:3]

    @classmethod
    def of(cls, timestamp_ms: int, partition: int, offset: int, topic: str) -> Self:
        """Return coordinates with the timestamp clamped to PostgreSQL's range; 0 if the record has none."""
        if not 0 <= timestamp_ms <= MAX_TIMESTAMP_MS:
            timestamp_ms = max(0, min(timestamp_ms, MAX_TIMESTAMP_MS))
        return cls(timestamp_ms, partition, offset, topic)

    def is_newer_than(self, other: "RecordCoordinates", compare_by: CompareBy = "timestamp") -> bool:
        """Compare timestamps, then topics by name, then partitions, then offsets: never those of different topics.

        `offset` ignores the producers' clocks within a partition.
        """
        if compare_by == "offset" and (self.topic, self.partition) == (other.topic, other.partition):
            return self.offset > other.offset
        return _sort_key(self) > _sort_key(other)


def _sort_key(record: RecordCoordinates) -> tuple[int, str, int, int]:
    return record.timestamp_ms, record.topic, record.partition, record.offset


class VersionedOrder(Struct, frozen=True):
    """An order and its version."""

    order: Order
    source: RecordCoordinates

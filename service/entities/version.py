"""Where an order came from, which is also which of two orders is the newer one."""

from typing import Final, Literal, NamedTuple, Self

from service.entities.order import Order

VersionOrder = Literal["timestamp", "offset"]

MAX_TOPIC: Final = 249
"""Characters of a topic's name, as Kafka limits it."""
_LATEST_MS: Final = 253_402_300_799_999
"""The end of year 9999: a record's timestamp may be any 64-bit number."""


class RecordPosition(NamedTuple):
    """The record that carried an order; its version is all but the topic, compared from left to right."""

    timestamp_ms: int
    partition: int
    offset: int
    topic: str

    @classmethod
    def of(cls, timestamp_ms: int, partition: int, offset: int, topic: str) -> Self:
        """Return a source whose timestamp PostgreSQL can hold; a record without one counts as the oldest."""
        return cls(min(max(timestamp_ms, 0), _LATEST_MS), partition, offset, topic)

    def is_newer_than(self, other: "RecordPosition", order: VersionOrder = "timestamp") -> bool:
        """Compare versions; `offset` trusts the log before the producers' clocks, within one partition."""
        if order == "offset" and self.partition == other.partition:
            return self.offset > other.offset
        return self[:3] > other[:3]


class VersionedOrder(NamedTuple):
    """An order with the version that it has."""

    order: Order
    source: RecordPosition
    prepared: object = None
    """What the store that prepared the order needs to store it; opaque to everybody else."""

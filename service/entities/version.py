"""Where an order came from, which is also which of two orders is the newer one."""

from typing import Literal, NamedTuple

from service.entities.order import Order

VersionOrder = Literal["timestamp", "offset"]


class Source(NamedTuple):
    """The record that carried an order; its version is all but the topic, compared from left to right."""

    timestamp_ms: int
    partition: int
    offset: int
    topic: str

    def is_newer_than(self, other: "Source", order: VersionOrder = "timestamp") -> bool:
        """Compare versions; `offset` trusts the log before the producers' clocks, within one partition."""
        if order == "offset" and self.partition == other.partition:
            return self.offset > other.offset
        return self[:3] > other[:3]


class Sourced(NamedTuple):
    """An order with the version that it has."""

    order: Order
    source: Source

"""A Kafka record as plain values."""

from typing import Final, NamedTuple

from service.entities.dead_letter_headers import Headers, read_origin
from service.entities.partition import Partition
from service.entities.version import RecordCoordinates

HEADER_BYTES: Final = 150
"""Python's memory overhead per header: a tuple, two objects and a list slot."""


class Record(NamedTuple):
    """One record of a topic; `timestamp_ms` is -1 if it has no timestamp.

    `headers` is None if a header's name is not UTF-8: the message is treated as one without headers.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers | None
    leader_epoch: int | None = None
    """Of the partition when it was written; None if it is unknown."""

    @property
    def size(self) -> int:
        """Size in memory: a message with many small headers takes many times its size on the wire."""
        size = len(self.value or b"") + len(self.key or b"")
        if self.headers:
            size += sum(HEADER_BYTES + len(name) + len(value or b"") for name, value in self.headers)
        return size

    @property
    def topic_partition(self) -> Partition:
        return Partition(self.topic, self.partition)

    @property
    def coordinates(self) -> RecordCoordinates:
        """The record's own coordinates."""
        return RecordCoordinates.of(self.timestamp_ms, self.partition, self.offset, self.topic)

    @property
    def source(self) -> RecordCoordinates:
        """The coordinates that are the order's version. A replayed message has those of its original record."""
        origin = read_origin(self.headers) if self.headers else None
        return self.coordinates if origin is None else RecordCoordinates.of(*origin)

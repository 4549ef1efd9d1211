"""A message as we keep it: plain values, so that nothing else needs to know the client library."""

from typing import Final, NamedTuple

from confluent_kafka import Message

from service.entities.dead_letter import Headers, read_origin
from service.entities.version import RecordPosition
from service.handler.kafka.client.headers import headers_of

HEADER_BYTES: Final = 150
"""What Python takes for a header beside its text: a tuple, two objects, a place in the list."""


class Record(NamedTuple):
    """One record of a topic; `timestamp_ms` is -1 where it has none.

    `headers` is None where they can't be read: the message counts as one without any.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers | None

    @property
    def size(self) -> int:
        """Bytes that the record holds in memory: a message of small headers takes many times its size on the wire."""
        headers = sum(HEADER_BYTES + len(name) + len(value or b"") for name, value in self.headers or ())
        return len(self.value or b"") + len(self.key or b"") + headers

    @property
    def source(self) -> RecordPosition:
        """The version that its order has: that of the first origin, where the message is a replayed one."""
        origin = read_origin(self.headers)
        if origin is None:
            return RecordPosition.of(self.timestamp_ms, self.partition, self.offset, self.topic)
        return RecordPosition.of(origin.timestamp_ms, origin.partition, origin.offset, origin.topic)


def record_of(message: Message) -> Record:
    """Return the record of a message that is not an error."""
    return Record(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        message.timestamp()[1],
        message.key(),
        message.value(),
        headers_of(message),
    )

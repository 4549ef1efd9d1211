"""Converts messages of confluent-kafka to records."""

from confluent_kafka import Message

from service.entities.record import Record
from service.handler.kafka.client.headers import headers_of


def record_of(message: Message) -> Record:
    """Convert a message that is not an error."""
    return Record(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        timestamp_ms=message.timestamp()[1],
        key=message.key(),
        value=message.value(),
        headers=headers_of(message),
    )

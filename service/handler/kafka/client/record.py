"""Converts messages of confluent-kafka to records."""

from confluent_kafka import Message

from service.entities.record import Record
from service.handler.kafka.client.headers import headers_of


def record_of(message: Message) -> Record:
    """Convert a message that is not an error."""
    return Record(  # not by name, which takes 0.2 µs more for each message
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        message.timestamp()[1],
        message.key(),
        message.value(),
        headers_of(message),
    )

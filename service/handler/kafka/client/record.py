"""Converts messages of confluent-kafka to records."""

from typing import Final

from confluent_kafka import OFFSET_INVALID, Message

from service.entities.partition import Partition
from service.entities.record import Record
from service.handler.kafka.client.headers import headers_of

NO_PARTITION: Final = -1
"""librdkafka's RD_KAFKA_PARTITION_UA."""


def position_of(message: Message) -> tuple[Partition, int]:
    """Return partition and offset.

    A message has both. An error that concerns no partition has NO_PARTITION and OFFSET_INVALID.
    """
    topic, partition, offset = _coordinates(message)
    return Partition(topic, partition), offset


def record_of(message: Message) -> Record:
    """Convert a message that is not an error."""
    topic, partition, offset = _coordinates(message)
    key, value = message.key(), message.value()
    # Not by name, which takes 0.2 µs more for each message.
    timestamp_ms, headers = message.timestamp()[1], headers_of(message)
    return Record(topic, partition, offset, timestamp_ms, key, value, headers, message.leader_epoch())


def _coordinates(message: Message) -> tuple[str, int, int]:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    return topic or "", NO_PARTITION if partition is None else partition, OFFSET_INVALID if offset is None else offset

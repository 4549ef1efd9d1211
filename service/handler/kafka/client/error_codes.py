"""Codes of the errors of librdkafka that are handled, by the names of its documentation without the underscore."""

# ruff: noqa: SLF001 - confluent-kafka's names of the client's own codes start with an underscore
from typing import Final

from confluent_kafka import KafkaError

AUTO_OFFSET_RESET: Final = KafkaError._AUTO_OFFSET_RESET
BAD_COMPRESSION: Final = KafkaError._BAD_COMPRESSION
FATAL: Final = KafkaError._FATAL
INVALID_ARG: Final = KafkaError._INVALID_ARG
MSG_TIMED_OUT: Final = KafkaError._MSG_TIMED_OUT
PARTITION_EOF: Final = KafkaError._PARTITION_EOF
QUEUE_FULL: Final = KafkaError._QUEUE_FULL
TIMED_OUT: Final = KafkaError._TIMED_OUT
UNKNOWN_TOPIC: Final = KafkaError._UNKNOWN_TOPIC

TOO_LARGE: Final = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE)
"""The client, or the broker, rejects the size of a message."""


_UNRECOVERABLE: Final = (MSG_TIMED_OUT, KafkaError.INVALID_PRODUCER_ID_MAPPING)
"""The second: Kafka has deleted the transactional id, by default a week after its last use. librdkafka 2.16 keeps the
producer id that belonged to it, even through the abort of a transaction."""


def is_unrecoverable(error: KafkaError) -> bool:
    """Return whether the producer must be replaced: after some errors it never delivers anything again."""
    return bool(error.fatal() or error.code() in _UNRECOVERABLE)

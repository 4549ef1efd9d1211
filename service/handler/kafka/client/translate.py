"""Translates the Kafka client's errors into KafkaRequestFailed. The text consists of fixed phrases."""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException

from service.errors import KafkaRequestFailed, KafkaUnavailable
from service.handler.kafka.client.error_phrases import phrase, remedy, topic_problem


def translate(error: KafkaError) -> KafkaRequestFailed:
    """Return KafkaUnavailable for an error of the client itself. An error that a broker returns explains itself."""
    kind = KafkaUnavailable if error.code() < 0 else KafkaRequestFailed
    return kind(f"Kafka: {phrase(error)}")


def topic_error(action: str, topic: str, error: KafkaError) -> KafkaRequestFailed:
    """Return an error whose text names the `action` that needs the topic, and the remedy."""
    hint = remedy(error)
    return KafkaRequestFailed(f"{topic_problem(action, topic, error)}{f'; {hint}' if hint else ''}")


@contextmanager
def translated() -> Iterator[None]:
    """Raise a KafkaRequestFailed for each KafkaException of the block, or of the function that this decorates."""
    try:
        yield
    except KafkaException as error:
        raise translate(error.args[0]) from error

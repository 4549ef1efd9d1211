"""Synchronous commits with a timeout: librdkafka waits forever for a broker that hangs with the connection open."""

from collections.abc import Sequence
from functools import partial

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from service.pkg.run_with_timeout import run_with_timeout


def commit_within(seconds: float, consumer: Consumer, offsets: Sequence[TopicPartition]) -> None:
    """Block until the broker has acknowledged. Raises KafkaException; after a timeout the commit may still succeed."""
    try:
        run_with_timeout(seconds, partial(consumer.commit, offsets=[*offsets], asynchronous=False))
    except TimeoutError:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from None  # noqa: SLF001 - librdkafka's name

"""A commit that is waited for: librdkafka waits without end for a broker that keeps the connection and says nothing."""

from collections.abc import Sequence
from functools import partial

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from service.pkg.run_with_timeout import run_with_timeout


def commit_within(seconds: float, consumer: Consumer, offsets: Sequence[TopicPartition]) -> None:
    """Block until the broker has acknowledged. Raises KafkaException; after a time-out it may still be committed."""
    try:
        run_with_timeout(seconds, partial(consumer.commit, offsets=[*offsets], asynchronous=False))
    except TimeoutError:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from None  # noqa: SLF001 - librdkafka's name

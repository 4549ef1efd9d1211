"""Queries offsets, and raises the error of a partition, which the client returns in place of the offset."""

from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaException, TopicPartition


def committed_offsets(
    consumer: Consumer, partitions: Sequence[TopicPartition], timeout_seconds: float
) -> list[TopicPartition]:
    """Return the group's committed offsets; negative if none is committed. Raises KafkaException."""
    return _raise_errors(consumer.committed([*partitions], timeout=timeout_seconds))


def offsets_for_times(
    consumer: Consumer, timestamps: Sequence[TopicPartition], timeout_seconds: float
) -> list[TopicPartition]:
    """Return the first offsets at or after `timestamps` (their `offset`, in ms); OFFSET_END if there is none.

    Raises KafkaException.
    """
    return _raise_errors(consumer.offsets_for_times([*timestamps], timeout=timeout_seconds))


def _raise_errors(answers: list[TopicPartition]) -> list[TopicPartition]:
    for each in answers:
        if each.error is not None:
            raise KafkaException(each.error)
    return answers

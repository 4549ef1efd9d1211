"""Moves the positions of assigned partitions."""

from collections.abc import Iterable

from confluent_kafka import Consumer, KafkaException, TopicPartition


def seek(client: Consumer, partitions: Iterable[TopicPartition]) -> list[TopicPartition]:
    """Read these partitions from their offsets. Return those that only `reassign` moves: they are not fetched yet."""
    rejected = []
    for partition in partitions:
        try:
            client.seek(partition)
        except KafkaException:
            rejected.append(partition)
    return rejected


def reassign(client: Consumer, partitions: list[TopicPartition]) -> None:
    """Read these partitions from their offsets. Unlike `seek`, this also leaves a position that is out of range."""
    client.incremental_unassign(partitions)
    client.incremental_assign(partitions)

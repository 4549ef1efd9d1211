"""Moves the positions of assigned partitions."""

from confluent_kafka import Consumer, TopicPartition


def reassign(client: Consumer, partitions: list[TopicPartition]) -> None:
    """Read these partitions from their offsets. Unlike `seek`, this also leaves a position that is out of range."""
    client.incremental_unassign(partitions)
    client.incremental_assign(partitions)

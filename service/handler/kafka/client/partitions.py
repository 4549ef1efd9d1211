"""Converts partitions of confluent-kafka, which are not hashable."""

from collections.abc import Iterable

from confluent_kafka import TopicPartition

from service.entities.partition import Partition


def partition_of(each: TopicPartition) -> Partition:
    return Partition(each.topic, each.partition)


def partition_set(partitions: Iterable[TopicPartition]) -> frozenset[Partition]:
    return frozenset(map(partition_of, partitions))

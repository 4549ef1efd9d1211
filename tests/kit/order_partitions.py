"""Partitions of the topic of fake consumers."""

from collections.abc import Mapping
from typing import Final, TypeVar

from service.entities.partition import Partition
from tests.kit.fake_consumer import TOPIC

P0: Final = Partition(TOPIC, 0)
P1: Final = Partition(TOPIC, 1)
P2: Final = Partition(TOPIC, 2)
P3: Final = Partition(TOPIC, 3)

Value = TypeVar("Value")


def keyed(by_number: Mapping[int, Value]) -> dict[Partition, Value]:
    return {Partition(TOPIC, number): value for number, value in by_number.items()}


def numbered(by_partition: Mapping[Partition, Value]) -> dict[int, Value]:
    return {partition.number: value for partition, value in by_partition.items()}

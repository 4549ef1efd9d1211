"""Partitions of topics."""

from collections.abc import Iterable
from typing import NamedTuple


class Partition(NamedTuple):
    topic: str
    number: int

    def __str__(self) -> str:
        """Return it in Kafka's notation."""
        return f"{self.topic}-{self.number}"


def by_topic(partitions: Iterable[Partition]) -> dict[str, list[int]]:
    """Return the numbers of partitions by topic, in order."""
    numbers: dict[str, list[int]] = {}
    for topic, number in sorted(partitions):
        numbers.setdefault(topic, []).append(number)
    return numbers

"""What `/stats` reports of the consumer group while Kafka answers, refuses or does not answer."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from service.errors import KafkaRequestFailed
from service.usecases.ports.stats import GroupMember, PartitionDepth, TopicDepths
from service.usecases.stats.group import GroupReaders, GroupStats, GroupStatsReader
from service.usecases.stats.view import ConsumerMember, PartitionLag

NOW = 1_000.0
DEPTHS = TopicDepths({0: PartitionDepth(5, 0), 1: PartitionDepth(7, 3)}, dead_letters=2)


class Reads:
    """Returns what it is given, and records the offsets whose timestamps are read."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.offsets: list[Mapping[int, int]] = []

    def read_if_available(self) -> Any:
        return self.value

    def next_timestamps(self, offsets: Mapping[int, int]) -> dict[int, int]:
        self.offsets.append(offsets)
        if isinstance(self.value, Exception):
            raise self.value
        timestamps: dict[int, int] = self.value
        return timestamps


def read(depths: Any = DEPTHS, members: Any = None, timestamps: Any = None) -> tuple[GroupStats, Reads]:
    next_ = Reads(timestamps or {})
    readers = GroupReaders(lag=Reads(depths), members=Reads(members), next_timestamps=next_.next_timestamps)
    return asyncio.run(GroupStatsReader(readers, now=lambda: NOW).read()), next_


@pytest.mark.parametrize(
    ("timestamps", "seconds"),
    [({1: 998_500}, 1.5), ({1: 1_000_900}, 0.0), ({}, None), (KafkaRequestFailed("refused"), None)],
)
def test_the_age_of_a_partition_is_that_of_its_next_message(timestamps: Any, seconds: float | None) -> None:
    stats, next_ = read(timestamps=timestamps)
    assert stats.partitions == [PartitionLag(0, 0, 0.0), PartitionLag(1, 3, seconds)]
    assert (stats.lag, stats.dead_letters) == (3, 2)
    assert next_.offsets == [{1: 7}]


def test_members_that_cannot_be_read_hide_nothing_else() -> None:
    stats, _ = read()
    assert stats.consumers is None
    assert (stats.lag, stats.kafka and stats.kafka.is_up) == (3, True)


def test_an_unreachable_kafka_gives_no_figures_and_reads_no_timestamps() -> None:
    stats, next_ = read(depths=None)
    assert (stats.lag, stats.partitions, stats.dead_letters, stats.consumers) == (None, None, None, None)
    assert next_.offsets == []


def test_a_group_with_members_runs() -> None:
    stats, _ = read(members=[GroupMember("orders-a", [0, 1]), GroupMember("orders-b", [])])
    assert stats.consumers is not None
    assert stats.consumers.is_running
    assert stats.consumers.members == [ConsumerMember("orders-a", [0, 1]), ConsumerMember("orders-b", [])]

"""What `/stats` reports of the consumer group while Kafka answers, refuses or does not answer."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest

from service.entities.partition import Partition
from service.errors import KafkaRequestFailed
from service.usecases.ports.stats import GroupMember, PartitionDepth, TopicDepths
from service.usecases.stats import refreshing
from service.usecases.stats.group import GroupReaders, GroupStats, GroupStatsReader
from service.usecases.stats.view import AssignedTopic, ConsumerMember, PartitionLag
from tests.kit.order_partitions import P0, P1
from tests.kit.waiting import until_idle

NOW = 1_000.0
DEPTHS = TopicDepths({P0: PartitionDepth(5, 0), P1: PartitionDepth(7, 3)}, dead_letters=2)


class Reads:
    """Returns what it is given, and records the offsets whose timestamps are read."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.offsets: list[Mapping[Partition, int]] = []

    def read_if_available(self) -> Any:
        return self.value

    def next_timestamps(self, offsets: Mapping[Partition, int]) -> dict[Partition, int]:
        self.offsets.append(offsets)
        if isinstance(self.value, Exception):
            raise self.value
        timestamps: dict[Partition, int] = self.value
        return timestamps


def read(depths: Any = DEPTHS, members: Any = None, timestamps: Any = None) -> tuple[GroupStats, Reads]:
    next_ = Reads(timestamps or {})
    readers = GroupReaders(lag=Reads(depths), members=Reads(members), next_timestamps=next_.next_timestamps)
    return asyncio.run(GroupStatsReader(readers, now=lambda: NOW).read()), next_


@pytest.mark.parametrize(
    ("timestamps", "seconds"),
    [({P1: 998_460}, 1.5), ({P1: 1_000_900}, 0.0), ({}, None), (KafkaRequestFailed("refused"), None)],
)
def test_the_age_of_a_partition_is_that_of_its_next_message(timestamps: Any, seconds: float | None) -> None:
    stats, next_ = read(timestamps=timestamps)
    assert stats.partitions == [PartitionLag("orders", 0, 0, 0.0), PartitionLag("orders", 1, 3, seconds)]
    assert (stats.lag, stats.dead_letters) == (3, 2)
    assert next_.offsets == [{P1: 7}]


def test_members_that_cannot_be_read_hide_nothing_else() -> None:
    stats, _ = read()
    assert stats.consumers is None
    assert (stats.lag, stats.kafka and stats.kafka.is_up) == (3, True)


def test_an_unreachable_kafka_gives_no_figures_and_reads_no_timestamps() -> None:
    stats, next_ = read(depths=None)
    assert (stats.lag, stats.partitions, stats.dead_letters, stats.consumers) == (None, None, None, None)
    assert next_.offsets == []


def test_a_group_with_members_runs() -> None:
    stats, _ = read(members=[GroupMember("orders-a", [P0, P1]), GroupMember("orders-b", [])])
    assert stats.consumers is not None
    assert stats.consumers.is_running
    assert timedelta() <= datetime.now(UTC) - datetime.fromisoformat(stats.consumers.since) < timedelta(hours=1)
    assert stats.consumers.members == [
        ConsumerMember("orders-a", [AssignedTopic("orders", [0, 1])]),
        ConsumerMember("orders-b", []),
    ]


def test_partitions_of_the_same_number_in_two_topics_are_told_apart() -> None:
    other = Partition("orders.eu", 1)
    depths = TopicDepths({P1: PartitionDepth(7, 3), other: PartitionDepth(9, 4)}, dead_letters=0)
    stats, next_ = read(depths, members=[GroupMember("orders-a", [P1, other])], timestamps={other: 998_500})
    assert stats.lag == 7
    assert stats.partitions == [PartitionLag("orders", 1, 3, None), PartitionLag("orders.eu", 1, 4, 1.5)]
    assert next_.offsets == [{P1: 7, other: 9}]
    assert stats.consumers is not None
    assert stats.consumers.members == [
        ConsumerMember("orders-a", [AssignedTopic("orders", [1]), AssignedTopic("orders.eu", [1])])
    ]


def test_members_that_can_no_longer_be_read_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refreshing, "REFRESH_INTERVAL_SECONDS", 0)
    members = Reads([GroupMember("orders-a", [P0])])
    readers = GroupReaders(lag=Reads(DEPTHS), members=members, next_timestamps=Reads({}).next_timestamps)

    async def play() -> list[bool]:
        reader = GroupStatsReader(readers)
        shown = [(await reader.read()).consumers is not None]
        members.value = None
        await until_idle()
        return [*shown, (await reader.read()).consumers is not None]

    assert asyncio.run(play()) == [True, False]


def test_a_kafka_that_does_not_answer_in_time_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refreshing, "TIMEOUT_SECONDS", 0.01)
    answer = Event()
    blocked = Reads(None)
    monkeypatch.setattr(blocked, "read_if_available", answer.wait)
    readers = GroupReaders(lag=blocked, members=Reads([]), next_timestamps=blocked.next_timestamps)
    stats = asyncio.run(asyncio.wait_for(GroupStatsReader(readers).read(), 10))
    assert (stats.lag, stats.partitions, stats.dead_letters) == (None, None, None)
    answer.set()

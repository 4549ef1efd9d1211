"""Partitions that are stalled without an error are logged."""

import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from service.handler.kafka.consumer.partitions.statistics import PartitionEnd
from service.handler.kafka.consumer.reports.stalled_partitions import StalledPartitions
from service.pkg.log_throttle import LOG_INTERVAL_SECONDS
from tests.kit.fakes import FakeClock
from tests.kit.order_partitions import keyed


@pytest.fixture
def stalled(clock: FakeClock) -> StalledPartitions:
    return StalledPartitions(structlog.get_logger(), clock)


def on_statistics(
    stalled: StalledPartitions, ends: dict[int, PartitionEnd], assigned: set[int], fetched: set[int]
) -> list[EventDict]:
    """Return the events that these statistics cause."""
    with capture_logs() as logs:
        stalled.on_statistics(keyed(ends), frozenset(keyed(dict.fromkeys(assigned))), keyed(dict.fromkeys(fetched)))
    return [*logs]


def test_a_transaction_that_stays_open_is_logged(stalled: StalledPartitions, clock: FakeClock) -> None:
    ends = {0: PartitionEnd(10, 7), 1: PartitionEnd(10, 10), 2: PartitionEnd(10, 4)}
    assert on_statistics(stalled, ends, assigned={0, 1}, fetched={0, 1}) == []
    moved = ends | {1: PartitionEnd(12, 10)}
    assert on_statistics(stalled, moved, assigned={0, 1}, fetched={0, 1}) == [
        {
            "event": "a producer's open transaction blocks the messages behind it",
            "log_level": "warning",
            "partitions": ["orders-0"],
            "messages": 3,
        }
    ]
    assert on_statistics(stalled, moved, assigned={0, 1}, fetched={0, 1}) == []  # at most once per interval
    clock.advance(LOG_INTERVAL_SECONDS)
    assert len(on_statistics(stalled, moved, assigned={0, 1}, fetched={0, 1})) == 1


def test_transactions_that_follow_each_other_are_not_logged(stalled: StalledPartitions) -> None:
    for stable in (7, 8, 9):
        assert on_statistics(stalled, {0: PartitionEnd(10, stable)}, assigned={0}, fetched={0}) == []


def test_a_partition_that_stays_without_an_offset_is_logged(stalled: StalledPartitions) -> None:
    assert on_statistics(stalled, {}, assigned={0, 1}, fetched={1}) == []
    assert on_statistics(stalled, {}, assigned={0, 1}, fetched=set()) == [
        {
            "event": "Kafka does not return the group's offsets: it is unreachable, or a transaction holds them",
            "log_level": "warning",
            "partitions": ["orders-0"],
        }
    ]
    assert on_statistics(stalled, {}, assigned={0, 1}, fetched=set()) == []  # at most once per interval
    assert on_statistics(stalled, {}, assigned={0, 1}, fetched={0, 1}) == []

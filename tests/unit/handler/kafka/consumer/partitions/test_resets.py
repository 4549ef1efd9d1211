"""Positions that are out of range are reset one by one; one that cannot be reset blocks no other."""

from typing import TYPE_CHECKING, cast

import pytest
import structlog
from confluent_kafka import KafkaError, TopicPartition
from structlog.testing import capture_logs

from service.handler.kafka.consumer.partitions.progress import Progress
from service.handler.kafka.consumer.partitions.resets import OffsetResets
from service.metrics import ConsumerMetrics
from service.usecases.batch import Batch
from tests.kit.fake_consumer import TOPIC, FakeConsumer
from tests.kit.order_partitions import P0, P1

if TYPE_CHECKING:
    from confluent_kafka import Consumer


@pytest.fixture
def resets(kafka: FakeConsumer, progress: Progress, metrics: ConsumerMetrics) -> OffsetResets:
    """The resets of a client with partitions 0 and 1, which still have the offsets 5 to 9."""
    for partition in (0, 1):
        kafka.logs[partition].start = 5
        kafka.append(partition, *[b""] * 5)
        kafka.incremental_assign([TopicPartition(TOPIC, partition, 99)])
    return OffsetResets(
        client=cast("Consumer", kafka),
        progress=progress,
        metrics=metrics.consumption,
        log=structlog.get_logger(),
    )


def moved(resets: OffsetResets, *unverified: int) -> list[tuple[int, int]]:
    return [(each.partition, each.offset) for each in resets.reset(lambda each: each.number not in unverified)]


def skipped(metrics: ConsumerMetrics) -> float | None:
    return metrics.registry.get_sample_value("orders_offsets_skipped_total")


def test_a_position_out_of_range_is_moved_to_the_earliest_offset_once(
    resets: OffsetResets, kafka: FakeConsumer
) -> None:
    resets.add(P1)
    assert (moved(resets), moved(resets)) == ([(1, 5)], [])
    assert kafka.positions == {0: 99, 1: 5}


def test_a_partition_that_was_revoked_meanwhile_blocks_no_other(resets: OffsetResets, kafka: FakeConsumer) -> None:
    kafka.incremental_unassign([TopicPartition(TOPIC, 0)])
    resets.add(P0)
    resets.add(P1)
    assert (moved(resets), moved(resets)) == ([(1, 5)], [])


@pytest.mark.parametrize(("offset", "count"), [(2, 3), (12, 2), (7, 0)])
def test_offsets_between_the_expected_one_and_the_topic_are_counted_and_logged(
    resets: OffsetResets, progress: Progress, metrics: ConsumerMetrics, offset: int, count: int
) -> None:
    progress.advance(Batch(next_offsets={P0: offset}, last_timestamps_ms={P0: 0}))
    resets.add(P0)
    with capture_logs() as logs:
        assert moved(resets) == [(0, 5)]
    assert skipped(metrics) == count
    problem = "the offset is no longer in the topic" if count else "the partition has lost messages before the offset"
    assert logs == [
        {
            "event": f"{problem}: reading continues at the earliest one", "log_level": "error",
            "topic": TOPIC, "partition": 0, "offset": offset, "earliest": 5, "end": 10,
        } | ({"skipped": count} if count else {})
    ]  # fmt: skip


@pytest.mark.parametrize("offset", [0, 1])
def test_before_a_batch_is_written_the_committed_offset_is_expected(
    resets: OffsetResets, kafka: FakeConsumer, metrics: ConsumerMetrics, offset: int
) -> None:
    kafka.committed_offsets[0] = TopicPartition(TOPIC, 0, offset)
    resets.add(P0)
    assert (moved(resets), skipped(metrics)) == ([(0, 5)], 5 - offset)


def test_a_partition_whose_committed_offset_is_unavailable_is_reset_later(
    resets: OffsetResets, kafka: FakeConsumer, metrics: ConsumerMetrics
) -> None:
    kafka.committed_offsets[0] = TopicPartition(TOPIC, 0, 1)
    kafka.committed_errors[0] = KafkaError(KafkaError.NOT_COORDINATOR)
    resets.add(P0)
    assert [(moved(resets), skipped(metrics)) for _ in range(2)] == [([], 0), ([(0, 5)], 4)]


def test_a_group_that_never_committed_skips_nothing(
    resets: OffsetResets, progress: Progress, metrics: ConsumerMetrics
) -> None:
    progress.start_at({P0: 2})  # the beginning of the topic, at the last statistics
    resets.add(P0)
    with capture_logs() as logs:
        assert moved(resets) == [(0, 5)]
    assert (skipped(metrics), logs) == (0, [])


def test_a_revoked_partition_is_dropped(resets: OffsetResets, kafka: FakeConsumer) -> None:
    resets.add(P0)
    resets.drop(frozenset({P0}))
    assert moved(resets) == []
    assert kafka.positions == {0: 99, 1: 99}


def test_an_unverified_partition_waits(resets: OffsetResets) -> None:
    resets.add(P0)
    resets.add(P1)
    assert (moved(resets, 0), moved(resets)) == ([(1, 5)], [(0, 5)])


def test_an_unreachable_broker_is_queried_once_per_call(resets: OffsetResets, kafka: FakeConsumer) -> None:
    resets.add(P0)
    resets.add(P1)
    kafka.failures["get_watermark_offsets"] = KafkaError(KafkaError._TIMED_OUT)
    with capture_logs() as logs:
        assert moved(resets) == []
    assert logs == [
        {
            "event": "cannot find the earliest offset yet", "log_level": "warning",
            "topic": TOPIC, "partition": 0, "code": "_TIMED_OUT", "problem": "timed out (_TIMED_OUT)",
        }
    ]  # fmt: skip
    assert moved(resets) == [(0, 5), (1, 5)]


def test_each_error_of_an_unreachable_broker_is_logged_once_in_a_while(
    resets: OffsetResets, kafka: FakeConsumer
) -> None:
    resets.add(P0)
    with capture_logs() as logs:
        for code in (KafkaError._TIMED_OUT, KafkaError._TIMED_OUT, KafkaError._TRANSPORT):
            kafka.failures["get_watermark_offsets"] = KafkaError(code)
            assert moved(resets) == []
    assert [each["code"] for each in logs] == ["_TIMED_OUT", "_TRANSPORT"]

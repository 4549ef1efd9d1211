"""Positions that are out of range are reset one by one; one that can't be reset blocks no other."""

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from prometheus_client import CollectorRegistry
from structlog.testing import CapturingLogger

from service.handler.kafka.consumer.resets import OffsetResets
from service.metrics import Metrics


class FakeConsumer:
    """Has some partitions, each with the offsets 5 to 9; refuses to give up one that it does not have."""

    def __init__(self, *assigned: int) -> None:
        self._assigned = {number: TopicPartition("orders", number) for number in assigned}

    def assignment(self) -> list[TopicPartition]:
        return list(self._assigned.values())

    def get_watermark_offsets(self, _: TopicPartition, timeout: float) -> tuple[int, int]:
        assert timeout > 0
        return 5, 10

    def committed(self, topic_partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        assert timeout > 0
        return topic_partitions

    def incremental_unassign(self, topic_partitions: list[TopicPartition]) -> None:
        for topic_partition in topic_partitions:
            if self._assigned.pop(topic_partition.partition, None) is None:
                raise KafkaException(KafkaError(KafkaError._INVALID_ARG))

    def incremental_assign(self, topic_partitions: list[TopicPartition]) -> None:
        self._assigned |= {each.partition: each for each in topic_partitions}


def resets(consumer: FakeConsumer) -> OffsetResets:
    return OffsetResets(consumer, "orders", Metrics(CollectorRegistry()), CapturingLogger())  # type: ignore[arg-type]


def test_a_lost_position_is_moved_to_the_earliest_offset_once() -> None:
    lost = resets(FakeConsumer(0, 1))
    lost.add(1)
    assert [(moved.partition, moved.offset) for moved in lost.reset()] == [(1, 5)]
    assert lost.reset() == []


def test_a_partition_that_was_taken_away_meanwhile_holds_up_no_other() -> None:
    lost = resets(FakeConsumer(3))
    lost.add(0)
    lost.add(3)
    assert [moved.partition for moved in lost.reset()] == [3]
    assert lost.reset() == []

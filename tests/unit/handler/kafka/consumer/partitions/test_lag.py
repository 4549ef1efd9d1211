"""How far the consumer is behind each partition, in messages and seconds."""

from typing import Any, NoReturn

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from service.handler.kafka.consumer.partitions.lag import Lag
from service.handler.kafka.consumer.partitions.partition_ends import PartitionEnds
from service.handler.kafka.consumer.partitions.progress import Progress
from service.handler.kafka.consumer.partitions.statistics import PartitionEnd
from service.metrics import ConsumerMetrics
from service.usecases.batch import Batch
from tests.kit.fake_consumer import TOPIC, FakeConsumer
from tests.kit.fakes import FakeClock
from tests.kit.order_partitions import P0, P1, P2, keyed, numbered

NO_TIMESTAMP = -1
GAUGES = ("lag_messages", "lag_seconds", "open_transaction_messages", "partition_stalled_seconds")


class SlowConsumer(FakeConsumer):
    """Each query of a partition's end takes some seconds."""

    def __init__(self, clock: FakeClock, seconds: float) -> None:
        super().__init__()
        self._clock = clock
        self._seconds = seconds

    def get_watermark_offsets(
        self, partition: TopicPartition, timeout: float = -1, *, cached: bool = False
    ) -> tuple[int, int]:
        self._clock.advance(0 if cached else self._seconds)
        return super().get_watermark_offsets(partition, timeout, cached=cached)


class ObservedLag(Lag):
    """The lag of a consumer, together with its progress."""

    def __init__(self, kafka: FakeConsumer, progress: Progress, metrics: ConsumerMetrics, clock: FakeClock) -> None:
        ends = PartitionEnds(kafka, clock)  # type: ignore[arg-type]
        super().__init__(ends, progress, metrics.partitions, clock)
        self.progress = progress

    def advance(self, offsets: dict[int, int], last_ms: dict[int, int] | None = None) -> None:
        timestamps = dict.fromkeys(offsets, NO_TIMESTAMP) | (last_ms or {})
        self.progress.advance(Batch(next_offsets=keyed(offsets), last_timestamps_ms=keyed(timestamps)))


@pytest.fixture
def lag(kafka: FakeConsumer, progress: Progress, metrics: ConsumerMetrics, clock: FakeClock) -> ObservedLag:
    """The lag of a client that has fetched ten records of partition 0, and five of partition 1."""
    kafka.append(0, *[b""] * 10)
    kafka.append(1, *[b""] * 5)
    kafka.incremental_assign([TopicPartition(TOPIC, partition, 0) for partition in (0, 1)])
    kafka.consume(100, 0)
    return ObservedLag(kafka, progress, metrics, clock)


def gauge(metrics: ConsumerMetrics, name: str, partition: int = 0) -> float | None:
    return metrics.registry.get_sample_value(f"orders_{name}", {"topic": TOPIC, "partition": str(partition)})


def now_ms(clock: FakeClock) -> int:
    return round(clock() * 1_000)


def test_the_lag_counts_messages_behind_the_last_written_one(lag: ObservedLag, metrics: ConsumerMetrics) -> None:
    lag.advance({0: 7, 1: 5})
    lag.update()
    assert [gauge(metrics, "lag_messages", partition) for partition in (0, 1)] == [3, 0]


def test_the_lag_in_seconds_is_the_age_of_the_last_written_record(
    lag: ObservedLag, metrics: ConsumerMetrics, clock: FakeClock
) -> None:
    lag.advance({0: 7, 1: 5}, {0: now_ms(clock) - 4_000, 1: now_ms(clock) - 4_000})
    lag.update()
    assert [gauge(metrics, "lag_seconds", partition) for partition in (0, 1)] == [4, 0]


def test_after_a_gap_the_lag_in_seconds_starts_when_the_backlog_was_last_empty(
    lag: ObservedLag, kafka: FakeConsumer, metrics: ConsumerMetrics, clock: FakeClock
) -> None:
    lag.advance({0: 10}, {0: now_ms(clock) - 3_600_000})
    lag.update()
    kafka.append(0, b"new")
    kafka.consume(1, 0)
    clock.advance(2)
    lag.update()
    assert (gauge(metrics, "lag_messages"), gauge(metrics, "lag_seconds")) == (1, 2)


def test_deleted_records_are_no_lag(lag: ObservedLag, kafka: FakeConsumer, metrics: ConsumerMetrics) -> None:
    lag.advance({0: 2})
    kafka.logs[0].start, kafka.logs[0].values = 8, [b"", b""]
    kafka.append(0, b"new")
    kafka.consume(1, 0)
    lag.update()
    assert gauge(metrics, "lag_messages") == 3


def test_before_a_batch_is_written_the_committed_offset_counts(lag: ObservedLag, metrics: ConsumerMetrics) -> None:
    lag.progress.start_at({P0: 4})
    lag.update()
    assert gauge(metrics, "lag_messages") == 6


def test_messages_of_an_open_transaction_are_counted_apart(lag: ObservedLag, metrics: ConsumerMetrics) -> None:
    lag.progress.start_at({P0: 4})
    lag.ends.on_statistics({P0: PartitionEnd(10, 7)}, unfetched=frozenset())
    lag.update()
    assert (gauge(metrics, "lag_messages"), gauge(metrics, "open_transaction_messages")) == (3, 3)


def test_a_partition_stalls_while_it_has_a_lag_and_is_not_written(
    lag: ObservedLag, metrics: ConsumerMetrics, clock: FakeClock
) -> None:
    lag.advance({0: 7, 1: 5})
    clock.advance(30)
    lag.update()
    assert [gauge(metrics, "partition_stalled_seconds", partition) for partition in (0, 1)] == [30, 0]
    lag.advance({0: 8})
    clock.advance(1)
    lag.update()
    assert gauge(metrics, "partition_stalled_seconds") == 1


def test_a_partition_stalls_only_since_it_was_idle(
    lag: ObservedLag, kafka: FakeConsumer, metrics: ConsumerMetrics, clock: FakeClock
) -> None:
    lag.advance({1: 5})
    clock.advance(30)
    lag.update()
    kafka.append(1, b"new")
    kafka.consume(1, 0)
    clock.advance(2)
    lag.update()
    assert gauge(metrics, "partition_stalled_seconds", 1) == 2


def test_a_partition_whose_ends_the_client_does_not_know_yet_has_no_lag(
    progress: Progress, metrics: ConsumerMetrics, clock: FakeClock
) -> None:
    class NewConsumer(FakeConsumer):
        def get_watermark_offsets(self, *_: Any, **__: Any) -> NoReturn:
            raise KafkaException(KafkaError(KafkaError._UNKNOWN_PARTITION))

    lag = ObservedLag(NewConsumer(), progress, metrics, clock)
    lag.advance({0: 0})
    lag.update()
    assert gauge(metrics, "lag_messages") == 0
    assert lag.ends.readable(P0) == (0, 0)


def test_a_partition_stalls_behind_an_open_transaction(
    lag: ObservedLag, metrics: ConsumerMetrics, clock: FakeClock
) -> None:
    lag.progress.start_at({P0: 7})
    lag.ends.on_statistics({P0: PartitionEnd(10, 7)}, unfetched=frozenset())
    clock.advance(30)
    lag.update()
    assert (gauge(metrics, "lag_messages"), gauge(metrics, "partition_stalled_seconds")) == (0, 30)


def test_the_gauges_are_updated_once_a_second(lag: ObservedLag, metrics: ConsumerMetrics, clock: FakeClock) -> None:
    lag.advance({0: 7})
    lag.update()
    lag.advance({0: 10})
    clock.advance(0.9)
    lag.update()
    assert gauge(metrics, "lag_messages") == 3
    clock.advance(0.1)
    lag.update()
    assert gauge(metrics, "lag_messages") == 0


def test_a_revoked_partition_has_no_gauges(lag: ObservedLag, metrics: ConsumerMetrics) -> None:
    lag.advance({0: 7, 1: 5})
    lag.update()
    for revoked in ({P0, P2}, {P1}):
        lag.progress.drop(frozenset(revoked))
        lag.remove_gauges(frozenset(revoked))
        lag.update()
    assert [gauge(metrics, name, partition) for name in GAUGES for partition in (0, 1)] == [None] * 8


def test_the_end_of_a_partition_that_is_not_fetched_is_queried(
    lag: ObservedLag, kafka: FakeConsumer, metrics: ConsumerMetrics, clock: FakeClock
) -> None:
    lag.advance({0: 10, 1: 5})
    kafka.append(0, b"new", b"new")
    lag.update([P0])
    assert (gauge(metrics, "lag_messages"), kafka.queries) == (2, [0])
    kafka.append(0, b"new")
    clock.advance(4)
    lag.update([P0])
    assert (gauge(metrics, "lag_messages"), kafka.queries) == (2, [0])
    clock.advance(1)
    lag.update([P0])
    assert (gauge(metrics, "lag_messages"), kafka.queries) == (3, [0, 0])


def test_the_end_of_a_partition_without_a_position_is_queried(lag: ObservedLag, kafka: FakeConsumer) -> None:
    lag.advance({0: 10, 1: 5})
    lag.ends.on_statistics({}, unfetched=frozenset({P1}))
    lag.update()
    assert kafka.queries == [1]


def test_a_partition_that_is_fetched_again_needs_no_query(
    lag: ObservedLag, kafka: FakeConsumer, metrics: ConsumerMetrics, clock: FakeClock
) -> None:
    lag.advance({0: 10})
    kafka.append(0, b"new")
    lag.update([P0])
    kafka.append(0, b"new")
    kafka.consume(10, 0)
    clock.advance(1)
    lag.update()
    assert (gauge(metrics, "lag_messages"), kafka.queries) == (2, [0])


def test_a_failed_query_leaves_the_last_known_end(
    lag: ObservedLag, kafka: FakeConsumer, metrics: ConsumerMetrics
) -> None:
    lag.advance({0: 7})
    kafka.failures["get_watermark_offsets"] = KafkaError(KafkaError._TIMED_OUT)
    lag.update([P0])
    assert gauge(metrics, "lag_messages") == 3


def test_queries_take_half_a_second_at_most_and_the_next_ones_continue(
    progress: Progress, metrics: ConsumerMetrics, clock: FakeClock
) -> None:
    kafka = SlowConsumer(clock, 0.2)
    lag = ObservedLag(kafka, progress, metrics, clock)
    everything = keyed(dict.fromkeys(range(5), 0))
    lag.advance(numbered(everything))
    lag.update(everything)
    assert kafka.queries == [0, 1, 2]
    clock.advance(5)
    lag.update(everything)
    assert kafka.queries == [0, 1, 2, 3, 4]

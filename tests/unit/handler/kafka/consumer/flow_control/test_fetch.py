"""Fetching is paused and resumed for all partitions together, also for those that are assigned meanwhile."""

import pytest
import structlog
from confluent_kafka import TopicPartition
from structlog.testing import capture_logs

from service.handler.kafka.consumer.flow_control.fetch import FetchControl
from service.metrics import ConsumerMetrics
from tests.kit.fake_consumer import TOPIC, FakeConsumer
from tests.kit.fakes import FakeClock


@pytest.fixture
def fetch(kafka: FakeConsumer, metrics: ConsumerMetrics, clock: FakeClock) -> FetchControl:
    kafka.incremental_assign(partitions(0, 1))
    return FetchControl(kafka, metrics.consumption, structlog.get_logger(), clock)  # type: ignore[arg-type]


def partitions(*numbers: int) -> list[TopicPartition]:
    return [TopicPartition(TOPIC, number, 0) for number in numbers]


def paused_seconds(metrics: ConsumerMetrics) -> float | None:
    return metrics.registry.get_sample_value("orders_paused_seconds_total")


def test_a_pause_covers_every_assigned_partition(fetch: FetchControl, kafka: FakeConsumer) -> None:
    fetch.pause()
    assert (fetch.is_paused, kafka.paused) == (True, {0, 1})
    fetch.resume()
    assert (fetch.is_paused, kafka.paused) == (False, set())


def test_a_partition_assigned_during_a_pause_is_paused(fetch: FetchControl, kafka: FakeConsumer) -> None:
    fetch.pause()
    fetch.apply(partitions(2))
    assert kafka.paused == {0, 1, 2}


def test_a_partition_revoked_during_a_pause_and_assigned_after_it_is_resumed(
    fetch: FetchControl, kafka: FakeConsumer
) -> None:
    fetch.pause()
    kafka.incremental_unassign(partitions(1))
    fetch.resume()
    assert kafka.paused == {1}
    kafka.incremental_assign(partitions(1))
    fetch.apply(partitions(1))
    assert kafka.paused == set()


def test_the_time_of_a_pause_is_counted_once(fetch: FetchControl, metrics: ConsumerMetrics, clock: FakeClock) -> None:
    fetch.count_paused_time()
    fetch.pause()
    clock.advance(3)
    fetch.count_paused_time()
    assert paused_seconds(metrics) == 3
    fetch.pause()
    clock.advance(4)
    fetch.resume()
    assert paused_seconds(metrics) == 7
    clock.advance(5)
    fetch.count_paused_time()
    assert paused_seconds(metrics) == 7


def test_a_pause_and_its_duration_are_logged_once(fetch: FetchControl, clock: FakeClock) -> None:
    with capture_logs() as logs:
        fetch.resume()
        fetch.pause()
        fetch.pause()
        clock.advance(2.54)
        fetch.resume()
        fetch.resume()
    assert [(each["event"], each.get("paused_seconds")) for each in logs] == [
        ("fetching is paused", None),
        ("fetching is resumed", 2.5),
    ]

"""Fakes of what the reading thread uses: the client, the clock and the metrics."""

import pytest
from prometheus_client import CollectorRegistry

from service.handler.kafka.consumer.partitions.progress import Progress
from service.metrics import ConsumerMetrics
from tests.kit.consumer_loop import LoopSetup, Make
from tests.kit.fake_consumer import FakeConsumer
from tests.kit.fakes import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def metrics() -> ConsumerMetrics:
    return ConsumerMetrics(CollectorRegistry())


@pytest.fixture
def progress(clock: FakeClock) -> Progress:
    return Progress(now=clock, wall_clock=clock)


@pytest.fixture
def kafka() -> FakeConsumer:
    return FakeConsumer()


@pytest.fixture
def make(metrics: ConsumerMetrics) -> Make:
    return lambda **settings: LoopSetup(metrics, **settings)


@pytest.fixture
def setup(make: Make) -> LoopSetup:
    """A consumer whose group has committed offset 0 of partitions 0 and 1."""
    made = make()
    made.commit(0, 0, 1)
    return made

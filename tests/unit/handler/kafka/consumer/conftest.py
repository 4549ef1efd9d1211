"""Fakes of what the reading thread uses: the client, the clock and the metrics."""

from functools import partial

import pytest
from prometheus_client import CollectorRegistry

from service.handler.kafka.consumer.flow_control import fetch
from service.handler.kafka.consumer.partitions import lag, offsets, partition_ends
from service.handler.kafka.consumer.partitions import progress as progress_module
from service.handler.kafka.consumer.partitions.progress import Progress
from service.handler.kafka.consumer.reports import client_errors, stalled_partitions
from service.handler.kafka.consumer.topic import id_lookup, identity, position_check
from service.metrics import ConsumerMetrics
from service.pkg.log_throttle import LogThrottle
from tests.kit.consumer_loop import LoopSetup, Make
from tests.kit.decoding import CountingDecoder
from tests.kit.fake_consumer import FakeConsumer
from tests.kit.fakes import FakeClock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """The clock of the modules of the consumer."""
    fake = FakeClock()
    for module in (client_errors, stalled_partitions):
        monkeypatch.setattr(module, "LogThrottle", partial(LogThrottle, now=fake))
    for module in (fetch, lag, offsets, partition_ends, progress_module, position_check, identity, id_lookup):
        for name in {"monotonic", "time"} & vars(module).keys():
            monkeypatch.setattr(module, name, fake)
    return fake


@pytest.fixture
def metrics() -> ConsumerMetrics:
    return ConsumerMetrics(CollectorRegistry())


@pytest.fixture
def progress() -> Progress:
    return Progress()


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


@pytest.fixture
def decoder() -> CountingDecoder:
    return CountingDecoder()

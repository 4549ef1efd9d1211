"""What the reading thread does with each outcome of a batch: where it pauses, what it probes, where it reads again."""

from time import monotonic
from typing import TYPE_CHECKING, cast

import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from service.entities.partition import Partition
from service.handler.kafka.consumer.flow_control.breaker_control import BreakerControl
from service.handler.kafka.consumer.flow_control.fetch import FetchControl
from service.handler.kafka.consumer.flow_control.state import ConsumerStateMachine
from service.metrics import ConsumerMetrics
from service.usecases.batch import Batch
from service.usecases.circuit_breaker import BreakerState
from service.usecases.outcome import Decision, Outcome
from service.usecases.ports.ingest import StoreCounts
from tests.kit.factories import record
from tests.kit.fake_consumer import FakeConsumer
from tests.kit.order_partitions import P0, P1
from tests.kit.policies import batch_limits, circuit_breaker_policy

if TYPE_CHECKING:
    from confluent_kafka import Consumer

RETRY_AFTER_SECONDS = 60.0
LIMITS = batch_limits(messages=1_000)
SETTINGS = circuit_breaker_policy(retry_after=RETRY_AFTER_SECONDS, probe_messages=10)
DONE = Outcome(StoreCounts(new=1))
PROBE_IS_BAD = DONE._replace(breaker=BreakerState.OPEN_FOR_MESSAGES)
FLOOD = Outcome(StoreCounts(), decision=Decision.HOLD_BACK, breaker=BreakerState.OPEN_FOR_MESSAGES, problem="a flood")
REJECTING = Outcome(
    StoreCounts(), decision=Decision.HOLD_BACK, breaker=BreakerState.OPEN_FOR_ALL_ORDERS, problem="rejected"
)
STORED_AGAIN = Outcome(StoreCounts(new=1), decision=Decision.REREAD)


@pytest.fixture
def metrics() -> ConsumerMetrics:
    return ConsumerMetrics(CollectorRegistry())


@pytest.fixture
def state(metrics: ConsumerMetrics) -> ConsumerStateMachine:
    return ConsumerStateMachine(
        FetchControl(cast("Consumer", FakeConsumer()), metrics.consumption, structlog.get_logger())
    )


@pytest.fixture
def control(state: ConsumerStateMachine, metrics: ConsumerMetrics) -> BreakerControl:
    return BreakerControl(
        settings=SETTINGS, limits=LIMITS, state=state, metrics=metrics.consumption, log=structlog.get_logger()
    )


def end_pause(state: ConsumerStateMachine) -> dict[Partition, int]:
    """Continue to read; return where."""
    assert state.breaker_pause is not None
    offsets = state.breaker_pause.reread_offsets
    state.end_pause()
    return offsets


def batch_of(*offsets: int, partition: int = 0) -> Batch:
    batch = Batch()
    for offset in offsets:
        batch.track(record(offset, partition=partition))
    return batch


def test_a_batch_that_is_done_pauses_nothing(control: BreakerControl, state: ConsumerStateMachine) -> None:
    control.on_outcome(batch_of(0, 1), DONE, batch_of(2))
    assert state.breaker_pause is None
    assert (state.is_breaker_open, control.limits.messages) == (False, 1_000)


def test_a_flood_is_read_again_from_where_it_began(
    control: BreakerControl, state: ConsumerStateMachine, metrics: ConsumerMetrics
) -> None:
    with capture_logs() as logged:
        control.on_outcome(batch_of(5, 6), FLOOD, batch_of(7))
    assert state.breaker_pause is not None
    assert state.breaker_pause.reread_offsets == {P0: 5}
    assert RETRY_AFTER_SECONDS - 1 < state.breaker_pause.until - monotonic() <= RETRY_AFTER_SECONDS
    assert (state.is_breaker_open, control.limits.messages) == (True, 10)
    assert metrics.consumption.circuit_breaker_open._value.get() == 1
    assert logged[0] == {
        "event": "the circuit breaker is open: consumption is paused",
        "log_level": "error",
        "problem": "a flood",
        "retry_after_seconds": RETRY_AFTER_SECONDS,
        "hint": "fix the producer, or set ORDERS_CIRCUIT_BREAKER__ENABLED=false to dead-letter them all",
    }


def test_messages_of_the_next_batch_are_read_again_too(control: BreakerControl, state: ConsumerStateMachine) -> None:
    control.on_outcome(batch_of(5), FLOOD, batch_of(3, partition=1))
    assert end_pause(state) == {P0: 5, P1: 3}
    assert state.breaker_pause is None


def test_after_a_bad_probe_the_next_one_begins_behind_it(control: BreakerControl, state: ConsumerStateMachine) -> None:
    control.on_outcome(batch_of(5), FLOOD, batch_of(6))
    end_pause(state)
    with capture_logs() as logged:
        control.on_outcome(batch_of(5), PROBE_IS_BAD, batch_of(6))
    assert logged[0]["problem"] == "most of the probed messages are bad"
    assert logged[0]["hint"].startswith("fix the producer, ")
    assert state.breaker_pause is not None
    assert state.breaker_pause.reread_offsets == {P0: 6}


def test_a_good_probe_ends_a_flood(
    control: BreakerControl, state: ConsumerStateMachine, metrics: ConsumerMetrics
) -> None:
    control.on_outcome(batch_of(5), FLOOD, batch_of(6))
    end_pause(state)
    with capture_logs() as logged:
        control.on_outcome(batch_of(5), DONE, batch_of(6))
        control.on_outcome(batch_of(6), DONE, batch_of(7))
    assert (state.breaker_pause, state.is_breaker_open) == (None, False)
    assert [each["event"] for each in logged] == ["the circuit breaker is closed: consumption continues"]
    assert metrics.consumption.circuit_breaker_open._value.get() == 0


def test_probes_of_orders_go_on_behind_the_last_one_and_grow(
    control: BreakerControl, state: ConsumerStateMachine
) -> None:
    with capture_logs() as logged:
        control.on_outcome(batch_of(0, 1), REJECTING, batch_of(2))
    assert logged[0]["problem"] == "rejected"
    assert logged[0]["hint"].startswith("remove the constraint, trigger or column ")
    assert end_pause(state) == {P0: 0}
    control.on_outcome(batch_of(0, 1), REJECTING, batch_of(2, 3))
    assert end_pause(state) == {P0: 2}
    assert {*control.held_back} == {P0}
    assert control.limits.messages == 20


def test_once_an_order_is_stored_everything_is_read_again_at_once(
    control: BreakerControl, state: ConsumerStateMachine, metrics: ConsumerMetrics
) -> None:
    control.on_outcome(batch_of(0, 1), REJECTING, batch_of(2))
    end_pause(state)
    control.on_outcome(batch_of(0, 1), REJECTING, batch_of(2, 3))
    end_pause(state)
    control.on_outcome(batch_of(2, 3), STORED_AGAIN, batch_of(4))
    assert state.breaker_pause is not None
    assert (state.breaker_pause.reread_offsets, state.breaker_pause.is_over) == ({P0: 0}, True)
    assert control.probed_offsets == {P0: 4}
    assert (state.is_breaker_open, metrics.consumption.circuit_breaker_open._value.get()) == (False, 0)
    assert control.held_back == ()


def test_probed_offsets_are_kept_until_they_are_committed(control: BreakerControl, state: ConsumerStateMachine) -> None:
    control.on_outcome(batch_of(0, 1), REJECTING, batch_of(2))
    end_pause(state)
    control.on_outcome(batch_of(0, 1), STORED_AGAIN, batch_of(2))
    end_pause(state)
    control.on_outcome(batch_of(0), DONE, batch_of(1))
    assert control.probed_offsets == {P0: 2}
    control.on_outcome(batch_of(1), DONE, batch_of(2))
    assert control.probed_offsets == {}


def test_probed_offsets_are_kept_while_other_partitions_are_committed_and_until_theirs_is_revoked(
    control: BreakerControl, state: ConsumerStateMachine
) -> None:
    control.on_outcome(batch_of(0), REJECTING, batch_of(1))
    end_pause(state)
    control.on_outcome(batch_of(0), STORED_AGAIN, batch_of(1))
    end_pause(state)
    control.on_outcome(batch_of(0, partition=1), DONE, batch_of(1, partition=1))
    control.drop(frozenset({P1}))
    assert control.probed_offsets == {P0: 1}
    control.drop(frozenset({P0}))
    assert control.probed_offsets == {}


def test_a_revoked_partition_is_neither_probed_nor_read_again(
    control: BreakerControl, state: ConsumerStateMachine
) -> None:
    control.on_outcome(batch_of(5), REJECTING, batch_of(3, partition=1))
    control.drop(frozenset({P0}))
    assert end_pause(state) == {P1: 3}
    control.on_outcome(Batch(), STORED_AGAIN, Batch())
    assert end_pause(state) == {P1: 3}
    assert P0 not in control.probed_offsets

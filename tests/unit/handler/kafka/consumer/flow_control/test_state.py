"""The states of a consumer: every change that is allowed, and no other."""

from itertools import product
from typing import TYPE_CHECKING, cast

import pytest
import structlog
from prometheus_client import CollectorRegistry

from service.handler.kafka.consumer.flow_control.breaker_pause import BreakerPause
from service.handler.kafka.consumer.flow_control.fetch import FetchControl
from service.handler.kafka.consumer.flow_control.state import TRANSITIONS, ConsumerState, ConsumerStateMachine
from service.metrics import ConsumerMetrics
from service.usecases.circuit_breaker import BreakerState
from tests.kit.fake_consumer import FakeConsumer

if TYPE_CHECKING:
    from confluent_kafka import Consumer

CHANGES = [(before, after) for before, after in product(ConsumerState, ConsumerState) if before is not after]


def change(consumer: ConsumerStateMachine, state: ConsumerState) -> None:
    """Make the change to a state that the consumer's parts make."""
    match state:
        case ConsumerState.WAITING_FOR_STORE:
            consumer.wait_for_outage()
        case ConsumerState.BREAKER_OPEN:
            consumer.open_breaker(BreakerPause(0, {}))
        case ConsumerState.PROBING | ConsumerState.RUNNING:
            is_probe = state is ConsumerState.PROBING
            consumer.breaker = BreakerState.OPEN_FOR_MESSAGES if is_probe else BreakerState.CLOSED
            consumer.resume_fetching()


def in_state(state: ConsumerState) -> ConsumerStateMachine:
    consumer = ConsumerStateMachine(fetch_control())
    consumer.current = state
    return consumer


def fetch_control() -> FetchControl:
    return FetchControl(
        cast("Consumer", FakeConsumer()), ConsumerMetrics(CollectorRegistry()).consumption, structlog.get_logger()
    )


def test_a_consumer_starts_by_running() -> None:
    assert ConsumerStateMachine(fetch_control()).current is ConsumerState.RUNNING


def test_fetching_is_paused_while_the_state_requires_it() -> None:
    fetch = fetch_control()
    consumer, is_paused = ConsumerStateMachine(fetch), []
    for state in (
        ConsumerState.WAITING_FOR_STORE,
        ConsumerState.BREAKER_OPEN,
        ConsumerState.PROBING,
        ConsumerState.RUNNING,
    ):
        change(consumer, state)
        is_paused.append(fetch.is_paused)
    assert is_paused == [True, True, False, False]


@pytest.mark.parametrize(("before", "after"), [each for each in CHANGES if each[1] in TRANSITIONS[each[0]]])
def test_a_change_that_is_allowed_is_made(before: ConsumerState, after: ConsumerState) -> None:
    consumer = in_state(before)
    change(consumer, after)
    assert consumer.current is after


@pytest.mark.parametrize(("before", "after"), [each for each in CHANGES if each[1] not in TRANSITIONS[each[0]]])
def test_any_other_change_is_an_error(before: ConsumerState, after: ConsumerState) -> None:
    consumer = in_state(before)
    with pytest.raises(ValueError, match=f"{before.value} cannot become {after.value}"):
        change(consumer, after)
    assert consumer.current is before


@pytest.mark.parametrize("state", ConsumerState)
def test_the_same_state_is_no_change(state: ConsumerState) -> None:
    consumer = in_state(state)
    change(consumer, state)
    assert consumer.current is state


def test_a_paused_fetch_is_no_way_out_of_an_open_circuit_breaker() -> None:
    assert ConsumerState.WAITING_FOR_STORE not in TRANSITIONS[ConsumerState.BREAKER_OPEN]


def test_only_an_open_circuit_breaker_has_a_pause() -> None:
    consumer, pause = ConsumerStateMachine(fetch_control()), BreakerPause(0, {})
    consumer.open_breaker(pause)
    assert consumer.breaker_pause is pause
    consumer.resume_fetching()
    assert consumer.breaker_pause is None

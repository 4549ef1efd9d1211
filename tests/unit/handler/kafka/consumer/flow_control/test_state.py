"""The states of a consumer: every change that is allowed, and no other."""

from itertools import product
from typing import TYPE_CHECKING, cast

import pytest
import structlog
from prometheus_client import CollectorRegistry

from service.handler.kafka.consumer.flow_control.breaker_pause import BreakerPause
from service.handler.kafka.consumer.flow_control.fetch import FetchControl
from service.handler.kafka.consumer.flow_control.state import (
    TRANSITIONS,
    ConsumerEvent,
    ConsumerState,
    ConsumerStateMachine,
)
from service.metrics import ConsumerMetrics
from tests.kit.fake_consumer import FakeConsumer

if TYPE_CHECKING:
    from confluent_kafka import Consumer

RUNNING, WAITING, OPEN, PROBING, PROBE_WAITING, REREADING = ConsumerState
EXPECTED = {
    (RUNNING, ConsumerEvent.SUBMIT): RUNNING,
    (RUNNING, ConsumerEvent.OUTAGE): WAITING,
    (RUNNING, ConsumerEvent.COMMIT): RUNNING,
    (RUNNING, ConsumerEvent.OPEN): OPEN,
    (WAITING, ConsumerEvent.SUBMIT): RUNNING,
    (WAITING, ConsumerEvent.COMMIT): WAITING,
    (WAITING, ConsumerEvent.OPEN): OPEN,
    (OPEN, ConsumerEvent.END_PAUSE): PROBING,
    (PROBING, ConsumerEvent.SUBMIT): PROBING,
    (PROBING, ConsumerEvent.OUTAGE): PROBE_WAITING,
    (PROBING, ConsumerEvent.COMMIT): RUNNING,
    (PROBING, ConsumerEvent.OPEN): OPEN,
    (PROBING, ConsumerEvent.REREAD): REREADING,
    (PROBE_WAITING, ConsumerEvent.SUBMIT): PROBING,
    (PROBE_WAITING, ConsumerEvent.COMMIT): WAITING,
    (PROBE_WAITING, ConsumerEvent.OPEN): OPEN,
    (PROBE_WAITING, ConsumerEvent.REREAD): REREADING,
    (REREADING, ConsumerEvent.END_PAUSE): RUNNING,
}
"""The table that TRANSITIONS has to equal, by state instead of by event."""
FORBIDDEN = [each for each in product(ConsumerState, ConsumerEvent) if each not in EXPECTED]
PAUSE = BreakerPause(0, {})


def send(consumer: ConsumerStateMachine, event: ConsumerEvent) -> None:
    """Call the method of an event."""
    match event:
        case ConsumerEvent.SUBMIT:
            consumer.on_submit()
        case ConsumerEvent.END_PAUSE:
            consumer.end_pause()
        case ConsumerEvent.OUTAGE:
            consumer.wait_for_store()
        case ConsumerEvent.COMMIT:
            consumer.on_commit()
        case ConsumerEvent.OPEN:
            consumer.open_breaker(PAUSE)
        case ConsumerEvent.REREAD:
            consumer.reread(PAUSE)


def in_state(state: ConsumerState, fetch: FetchControl | None = None) -> ConsumerStateMachine:
    consumer = ConsumerStateMachine(fetch or fetch_control())
    consumer.current = state
    return consumer


def fetch_control() -> FetchControl:
    return FetchControl(
        cast("Consumer", FakeConsumer()), ConsumerMetrics(CollectorRegistry()).consumption, structlog.get_logger()
    )


def test_a_consumer_starts_by_running() -> None:
    consumer = ConsumerStateMachine(fetch_control())
    assert (consumer.current, consumer.breaker_pause) == (RUNNING, None)


@pytest.mark.parametrize(("before", "event"), EXPECTED)
def test_an_event_changes_the_state_and_whether_messages_are_fetched(
    before: ConsumerState, event: ConsumerEvent
) -> None:
    fetch = fetch_control()
    consumer, after = in_state(before, fetch), EXPECTED[before, event]
    send(consumer, event)
    assert consumer.current is after
    assert fetch.is_paused is (after not in (RUNNING, PROBING))


@pytest.mark.parametrize(("before", "event"), FORBIDDEN)
def test_any_other_event_is_an_error(before: ConsumerState, event: ConsumerEvent) -> None:
    consumer = in_state(before)
    with pytest.raises(ValueError, match=f"{before.value} cannot {event.value}"):
        send(consumer, event)
    assert consumer.current is before


def test_every_allowed_change_is_tested() -> None:
    assert {(before, event) for event, changes in TRANSITIONS.items() for before in changes} == EXPECTED.keys()


@pytest.mark.parametrize(
    ("state", "is_open"),
    [(RUNNING, False), (WAITING, False), (OPEN, True), (PROBING, True), (PROBE_WAITING, True), (REREADING, False)],
)
def test_the_state_includes_whether_the_circuit_breaker_is_open(state: ConsumerState, *, is_open: bool) -> None:
    assert in_state(state).is_breaker_open is is_open


@pytest.mark.parametrize("event", [ConsumerEvent.OPEN, ConsumerEvent.REREAD])
def test_a_pause_that_has_ended_is_forgotten(event: ConsumerEvent) -> None:
    consumer = in_state(PROBING)
    send(consumer, event)
    assert consumer.breaker_pause is PAUSE
    consumer.end_pause()
    assert consumer.breaker_pause is None

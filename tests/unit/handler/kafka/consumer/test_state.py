"""The states of a consumer: every change that is allowed, and no other."""

from itertools import product

import pytest

from service.handler.kafka.consumer.state import TRANSITIONS, ConsumerState, ConsumerStateMachine

CHANGES = [(before, after) for before, after in product(ConsumerState, ConsumerState) if before is not after]


def in_state(state: ConsumerState) -> ConsumerStateMachine:
    consumer = ConsumerStateMachine()
    consumer.current = state
    return consumer


def test_a_consumer_starts_by_running() -> None:
    assert ConsumerStateMachine().current is ConsumerState.RUNNING


@pytest.mark.parametrize(("before", "after"), [change for change in CHANGES if change[1] in TRANSITIONS[change[0]]])
def test_a_change_that_is_allowed_is_made(before: ConsumerState, after: ConsumerState) -> None:
    consumer = in_state(before)
    consumer.become(after)
    assert consumer.current is after


@pytest.mark.parametrize(("before", "after"), [change for change in CHANGES if change[1] not in TRANSITIONS[change[0]]])
def test_any_other_change_is_an_error(before: ConsumerState, after: ConsumerState) -> None:
    consumer = in_state(before)
    with pytest.raises(ValueError, match=f"{before.value} cannot become {after.value}"):
        consumer.become(after)
    assert consumer.current is before


@pytest.mark.parametrize("state", ConsumerState)
def test_the_same_state_is_no_change(state: ConsumerState) -> None:
    consumer = in_state(state)
    consumer.become(state)
    assert consumer.current is state


def test_a_paused_fetch_is_no_way_out_of_an_open_circuit_breaker() -> None:
    assert ConsumerState.PAUSED not in TRANSITIONS[ConsumerState.BREAKER_OPEN]

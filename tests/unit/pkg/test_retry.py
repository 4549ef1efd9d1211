"""Exponential backoff with full jitter, ended by a request to stop."""

from collections.abc import Callable

import pytest
from tenacity import RetryCallState

from service.errors import Stopped
from service.pkg.backoff import Backoff
from service.pkg.retry import retrying
from service.pkg.shutdown_event import ShutdownEvent
from tests.kit.policies import retry_backoff


class RecordedWaits(ShutdownEvent):
    """Records the waits instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


def failing(times: int, error: type[Exception] = TimeoutError) -> Callable[[], str]:
    left = [error("away")] * times

    def call() -> str:
        if left:
            raise left.pop()
        return "done"

    return call


def repeat(
    call: Callable[[], str],
    backoff: Backoff,
    stop: ShutdownEvent,
    on_retry: Callable[[RetryCallState], None] = lambda _: None,
) -> str:
    return retrying(backoff, stop, lambda error: isinstance(error, TimeoutError), on_retry)(call)


def waits(attempts: int, backoff: Backoff) -> list[float]:
    stop = RecordedWaits()
    assert repeat(failing(attempts), backoff, stop) == "done"
    return stop.waits


def test_a_success_is_called_once() -> None:
    assert waits(0, retry_backoff()) == []


def test_each_wait_is_random_below_a_bound_that_doubles_up_to_the_ceiling() -> None:
    backoff = retry_backoff(initial_backoff=0.1, max_backoff=10)
    rounds = [waits(10, backoff) for _ in range(200)]
    for attempt, drawn in enumerate(zip(*rounds, strict=True)):
        bound = min(10, 0.1 * 2**attempt)
        assert 0 <= min(drawn) < 0.1 * bound
        assert 0.9 * bound < max(drawn) <= bound


def test_an_outage_of_any_length_overflows_nothing() -> None:
    assert max(waits(2_000, retry_backoff(initial_backoff=0.1, max_backoff=5))) <= 5


def test_a_permanent_error_is_raised_at_once() -> None:
    stop = RecordedWaits()
    with pytest.raises(KeyError):
        repeat(failing(1, KeyError), retry_backoff(), stop)
    assert stop.waits == []


def test_each_failed_attempt_is_reported_with_its_number_and_its_wait() -> None:
    stop = RecordedWaits()
    reported: list[tuple[int, float]] = []

    def note(state: RetryCallState) -> None:
        assert state.next_action
        reported.append((state.attempt_number, state.next_action.sleep))

    repeat(failing(3), retry_backoff(), stop, note)
    assert reported == list(enumerate(stop.waits, start=1))


def test_shutdown_ends_a_wait() -> None:
    stop = ShutdownEvent()
    stop.set()
    with pytest.raises(Stopped):
        repeat(failing(1), retry_backoff(initial_backoff=600, max_backoff=600), stop)


def test_after_the_time_given_the_last_error_itself_is_raised() -> None:
    with pytest.raises(TimeoutError, match="away"):
        repeat(
            failing(10**6), retry_backoff(initial_backoff=0.001, max_backoff=0.001, give_up_after=0.02), ShutdownEvent()
        )


def test_only_an_error_that_may_be_given_up_ends_the_retries() -> None:
    def may_give_up(state: RetryCallState) -> bool:
        return state.attempt_number == 3

    retried = retrying(
        retry_backoff(give_up_after=0), RecordedWaits(), lambda _: True, lambda _: None, may_give_up=may_give_up
    )
    calls = iter(range(1, 10))
    with pytest.raises(ZeroDivisionError):
        retried(lambda: next(calls) / 0)
    assert next(calls) == 4


def test_no_time_at_all_is_one_attempt() -> None:
    stop = RecordedWaits()
    with pytest.raises(TimeoutError):
        repeat(failing(2), retry_backoff(give_up_after=0), stop)
    assert stop.waits == []

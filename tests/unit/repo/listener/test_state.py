"""The states of a listener, and when it reconnects."""

import pytest

from service.repo.listener.state import (
    MAX_RETRY_INTERVAL_SECONDS,
    RETRY_INTERVAL_SECONDS,
    ListenerLifecycle,
    ListenerState,
)


@pytest.fixture
def lifecycle() -> ListenerLifecycle:
    return ListenerLifecycle()


def test_a_listener_starts_without_being_verified(lifecycle: ListenerLifecycle) -> None:
    assert lifecycle.state is ListenerState.UNVERIFIED


def test_the_first_heartbeat_verifies_it(lifecycle: ListenerLifecycle) -> None:
    assert lifecycle.on_heartbeat()
    assert lifecycle.state is ListenerState.VERIFIED


def test_further_heartbeats_confirm_it(lifecycle: ListenerLifecycle) -> None:
    lifecycle.on_heartbeat()
    assert not lifecycle.on_heartbeat()
    assert lifecycle.state is ListenerState.VERIFIED


@pytest.mark.parametrize("has_timed_out", [True, False])
def test_a_verified_connection_that_fails_is_lost_and_replaced_at_once(
    lifecycle: ListenerLifecycle, *, has_timed_out: bool
) -> None:
    lifecycle.on_heartbeat()
    assert lifecycle.on_failure(has_timed_out=has_timed_out) == 0
    assert lifecycle.state is ListenerState.LOST


@pytest.mark.parametrize("has_timed_out", [True, False])
def test_a_failure_before_the_first_heartbeat_loses_nothing(
    lifecycle: ListenerLifecycle, *, has_timed_out: bool
) -> None:
    lifecycle.on_failure(has_timed_out=has_timed_out)
    assert lifecycle.state is ListenerState.UNVERIFIED


def test_it_stays_lost_until_a_heartbeat_arrives(lifecycle: ListenerLifecycle) -> None:
    lifecycle.on_heartbeat()
    for has_timed_out in (False, True, False):
        lifecycle.on_failure(has_timed_out=has_timed_out)
        assert lifecycle.state is ListenerState.LOST
    assert lifecycle.on_heartbeat()
    assert lifecycle.state is ListenerState.VERIFIED


def test_the_readers_connections_are_replaced_once(lifecycle: ListenerLifecycle) -> None:
    lifecycle.on_heartbeat()
    lifecycle.on_failure(has_timed_out=True)
    lifecycle.on_readers_replaced()
    assert lifecycle.state is ListenerState.UNVERIFIED
    lifecycle.on_failure(has_timed_out=True)
    assert lifecycle.state is ListenerState.UNVERIFIED


def test_failures_to_connect_are_retried_at_a_constant_interval(lifecycle: ListenerLifecycle) -> None:
    assert [lifecycle.on_failure(has_timed_out=False) for _ in range(5)] == [RETRY_INTERVAL_SECONDS] * 5


def test_timeouts_are_retried_with_backoff(lifecycle: ListenerLifecycle) -> None:
    delays = [lifecycle.on_failure(has_timed_out=True) for _ in range(6)]
    assert delays == [0.4, 0.8, 1.6, 3.2, MAX_RETRY_INTERVAL_SECONDS, MAX_RETRY_INTERVAL_SECONDS]


def test_only_consecutive_timeouts_are_repeated_ones(lifecycle: ListenerLifecycle) -> None:
    seen = []
    for has_timed_out in (True, False, True, True):
        lifecycle.on_failure(has_timed_out=has_timed_out)
        seen.append(lifecycle.has_repeated_timeouts)
    assert seen == [False, False, False, True]


def test_a_heartbeat_ends_repeated_timeouts(lifecycle: ListenerLifecycle) -> None:
    for _ in range(3):
        lifecycle.on_failure(has_timed_out=True)
    lifecycle.on_heartbeat()
    assert not lifecycle.has_repeated_timeouts
    lifecycle.on_failure(has_timed_out=True)
    assert lifecycle.on_failure(has_timed_out=True) == RETRY_INTERVAL_SECONDS * 2

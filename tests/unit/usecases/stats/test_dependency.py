"""The state of the servers that the API needs, as `/stats` reports it."""

from datetime import UTC, datetime, timedelta

from service.usecases.stats.dependency import Dependency
from service.usecases.stats.view import DependencyStatus

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_since_is_the_time_of_the_last_change() -> None:
    times = iter(START + timedelta(minutes=minute) for minute in range(10))
    dependency = Dependency(now=lambda: next(times))
    statuses = []
    for is_up in (True, True, False, False, True):
        dependency.set_state(is_up=is_up)
        statuses.append(dependency.status)
    up, down, again = (f"2026-03-01T12:0{minute}:00.000Z" for minute in (1, 3, 5))
    assert statuses == [
        DependencyStatus(is_up=True, since=up),
        DependencyStatus(is_up=True, since=up),
        DependencyStatus(is_up=False, since=down),
        DependencyStatus(is_up=False, since=down),
        DependencyStatus(is_up=True, since=again),
    ]


def test_a_dependency_that_is_still_connecting_is_not_down() -> None:
    times = iter(START + timedelta(seconds=second) for second in (0, 1, 2))
    dependency = Dependency(now=lambda: next(times))
    dependency.set_state(is_up=False)
    assert dependency.status is None
    dependency.set_state(is_up=False)
    assert dependency.status == DependencyStatus(is_up=False, since="2026-03-01T12:00:02.000Z")


def test_the_status_is_none_before_the_first_call() -> None:
    assert Dependency().status is None

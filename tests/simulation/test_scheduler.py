"""Threads on the virtual clock."""

from random import Random

import pytest

from tests.simulation.scheduler import START_SECONDS, Deadlock, Process, Scheduler
from tests.simulation.threads import Condition, SimulatedShutdownEvent


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler(Random(1))  # noqa: S311 - must be reproducible


def test_time_passes_only_in_waits(scheduler: Scheduler) -> None:
    woken: list[float] = []

    def work() -> None:
        scheduler.delay(3_600)
        woken.append(scheduler.now - START_SECONDS)

    scheduler.spawn("worker", Process("process"), work)
    assert scheduler.wait(lambda: bool(woken), 7_200)
    assert woken == [pytest.approx(3_600, abs=0.01)]


def test_a_wait_ends_at_its_deadline(scheduler: Scheduler) -> None:
    assert not scheduler.wait(lambda: False, 5)
    assert scheduler.now == START_SECONDS + 5


def test_threads_that_wait_for_each_other_are_reported(scheduler: Scheduler) -> None:
    scheduler.spawn("worker", Process("process"), lambda: scheduler.wait(lambda: False))
    with pytest.raises(Deadlock, match="waiting: process worker"):
        scheduler.wait(lambda: False)


def test_an_exception_of_a_thread_ends_the_simulation(scheduler: Scheduler) -> None:
    def work() -> None:
        raise ValueError("broken")

    scheduler.spawn("worker", Process("process"), work)
    with pytest.raises(ValueError, match="broken"):
        scheduler.wait(lambda: False, 1)


def test_a_condition_wakes_only_those_that_are_notified(scheduler: Scheduler) -> None:
    condition, process, done = Condition(scheduler), Process("process"), list[bool]()

    def wait() -> None:
        with condition:
            done.append(condition.wait_for(lambda: scheduler.now >= START_SECONDS + 1, 10))

    scheduler.spawn("waiting", process, wait)
    assert not scheduler.wait(lambda: bool(done), 5)  # the predicate is true, but no thread has been notified

    def notify() -> None:
        with condition:
            condition.notify_all()

    scheduler.spawn("notifying", process, notify)
    assert scheduler.wait(lambda: done == [True], 1)


def test_a_killed_process_does_nothing_more(scheduler: Scheduler) -> None:
    process, cleaned_up = Process("process"), list[str]()

    def work() -> None:
        try:
            scheduler.delay(10)
        finally:
            scheduler.delay(1)
            cleaned_up.append("file")

    scheduler.spawn("worker", process, work)
    scheduler.wait(lambda: False, 1)
    scheduler.kill(process)
    scheduler.wait(lambda: False, 20)
    assert cleaned_up == []


def test_a_suspended_process_continues_later(scheduler: Scheduler) -> None:
    process, woken = Process("process"), list[float]()

    def work() -> None:
        scheduler.delay(2)
        woken.append(scheduler.now - START_SECONDS)

    scheduler.spawn("worker", process, work)
    scheduler.wait(lambda: False, 1)
    scheduler.suspend(process, 6)
    assert scheduler.wait(lambda: bool(woken), 20)
    assert woken == [pytest.approx(7, abs=0.01)]


def test_a_shutdown_ends_a_wait(scheduler: Scheduler) -> None:
    stop, ended = SimulatedShutdownEvent(scheduler), list[bool]()
    scheduler.spawn("worker", Process("process"), lambda: ended.append(stop.wait(60)))
    scheduler.call_later(3, stop.set)
    assert scheduler.wait(lambda: bool(ended), 20)
    assert ended == [True]
    assert scheduler.now < START_SECONDS + 4

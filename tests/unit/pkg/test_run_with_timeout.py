"""A bound on calls that have none."""

import asyncio
from contextlib import suppress
from threading import Event, Thread, current_thread

import pytest

from service.pkg.run_with_timeout import run_in_daemon_thread, run_with_timeout

LONG = 10.0


def test_the_result_of_a_call_is_returned() -> None:
    assert run_with_timeout(LONG, lambda: 7) == 7


def test_the_error_of_a_call_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        run_with_timeout(LONG, lambda: 1 / 0)


def test_a_call_that_does_not_end_is_abandoned() -> None:
    for_ever, ended = Event(), Event()

    def work() -> None:
        for_ever.wait()
        ended.set()

    with pytest.raises(TimeoutError, match=r"timed out after 0\.01 s"):
        run_with_timeout(0.01, work)
    assert not ended.is_set()
    for_ever.set()
    assert ended.wait(LONG)


def test_an_event_loop_gets_the_result_of_a_thread() -> None:
    assert asyncio.run(run_in_daemon_thread(lambda: 7)) == 7


def test_an_event_loop_ends_without_waiting_for_the_thread() -> None:
    for_ever, thread = Event(), list[Thread]()

    def work() -> None:
        thread.append(current_thread())
        for_ever.wait()

    async def abandon() -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(run_in_daemon_thread(work), 0.01)

    asyncio.run(abandon())
    assert thread[0].daemon
    for_ever.set()
    thread[0].join(LONG)  # pytest fails if it raises
    assert not thread[0].is_alive()

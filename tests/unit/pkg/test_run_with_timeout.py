"""A bound on calls that have none."""

from threading import Event

import pytest

from service.pkg.run_with_timeout import run_with_timeout

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

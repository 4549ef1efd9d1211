"""A bound on calls that have none."""

from threading import Event

import pytest

from service.pkg.deadline import within

LONG = 10.0


def test_what_a_call_returns_is_returned() -> None:
    assert within(LONG, lambda: 7) == 7


def test_what_a_call_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        within(LONG, lambda: 1 / 0)


def test_a_call_that_does_not_end_is_left_behind() -> None:
    for_ever = Event()
    with pytest.raises(TimeoutError):
        within(0.01, for_ever.wait)
    for_ever.set()

"""Waiting for conditions."""

from itertools import count

import pytest

from tests.kit.waiting import eventually, throughout


def test_the_first_true_result_is_returned() -> None:
    results = iter([0, None, 7])
    assert eventually(lambda: next(results)) == 7


def test_a_check_that_raises_is_retried() -> None:
    results = iter([ZeroDivisionError, None])

    def check() -> bool:
        error = next(results)
        if error:
            raise error
        return True

    assert eventually(check)


def test_a_timeout_names_the_condition_and_its_last_error() -> None:
    with pytest.raises(AssertionError, match=r"the answer: timed out after 0 s \(last: ZeroDivisionError") as failure:
        eventually(lambda: 1 // 0, within=0, what="the answer")
    assert isinstance(failure.value.__cause__, ZeroDivisionError)


def test_a_condition_must_be_true_throughout_the_time() -> None:
    checks = count(1)
    throughout(lambda: next(checks) > 0, 0.2)
    assert next(checks) > 2


@pytest.mark.parametrize(("results", "seconds"), [([True, False], 60), ([False], 0)])
def test_a_condition_that_ends_too_early_fails(results: list[bool], seconds: float) -> None:
    remaining = iter(results)
    with pytest.raises(AssertionError, match="the fault: no longer true"):
        throughout(lambda: next(remaining), seconds, "the fault")
    assert next(remaining, None) is None

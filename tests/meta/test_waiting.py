import pytest

from tests.kit.waiting import eventually


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

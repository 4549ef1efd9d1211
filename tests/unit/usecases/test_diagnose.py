from collections.abc import Callable
from threading import Event

from service.errors import CheckFailed, CheckWarning
from service.usecases.diagnose import Check, CheckOutcome, CheckResult, run_checks

TIMEOUT_SECONDS = 5.0


def raising(error: Exception) -> Callable[[], str]:
    def run() -> str:
        raise error

    return run


def results(*checks: Check) -> list[tuple[str, CheckOutcome, str]]:
    def flat(result: CheckResult) -> tuple[str, CheckOutcome, str]:
        return result.check.name, result.outcome, result.description

    return [*map(flat, run_checks(checks, TIMEOUT_SECONDS, str))]


def test_a_check_that_returns_has_passed_and_one_that_raises_has_failed() -> None:
    assert results(Check("a", lambda: "fine", ""), Check("b", raising(CheckFailed("broken")), "")) == [
        ("a", CheckOutcome.PASSED, "fine"),
        ("b", CheckOutcome.FAILED, "broken"),
    ]


def test_checks_that_require_a_failed_or_skipped_one_are_skipped_and_the_others_run() -> None:
    assert results(
        Check("a", raising(OSError("gone")), ""),
        Check("b", lambda: "never", "", ("a",)),
        Check("c", lambda: "never", "", ("b",)),
        Check("d", lambda: "fine", ""),
    ) == [
        ("a", CheckOutcome.FAILED, "gone"),
        ("b", CheckOutcome.SKIPPED, "skipped: a failed"),
        ("c", CheckOutcome.SKIPPED, "skipped: b failed"),
        ("d", CheckOutcome.PASSED, "fine"),
    ]


def test_checks_that_require_one_with_a_warning_run() -> None:
    assert results(Check("a", raising(CheckWarning("slow")), ""), Check("b", lambda: "fine", "", ("a",))) == [
        ("a", CheckOutcome.WARNING, "slow"),
        ("b", CheckOutcome.PASSED, "fine"),
    ]


def test_a_check_that_does_not_return_has_failed_and_the_others_run() -> None:
    never = Event()
    blocked = Check("a", lambda: str(never.wait()), "")
    found = run_checks([blocked, Check("b", lambda: "fine", "")], 0.01, str)
    assert [(each.outcome, each.description) for each in found] == [
        (CheckOutcome.FAILED, "timed out after 0.01 s"),
        (CheckOutcome.PASSED, "fine"),
    ]
    never.set()

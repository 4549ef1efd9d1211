"""Runs checks that may depend on each other."""

from collections.abc import Callable, Iterable, Iterator
from enum import Enum, auto
from typing import NamedTuple

from service.errors import CheckWarning
from service.pkg.run_with_timeout import run_with_timeout


class Check(NamedTuple):
    """`run` returns a description or raises. A check is skipped if a check that it `requires` has failed."""

    name: str
    run: Callable[[], str]
    hint: str
    requires: tuple[str, ...] = ()


class CheckOutcome(Enum):
    PASSED = auto()
    WARNING = auto()
    FAILED = auto()
    SKIPPED = auto()


class CheckResult(NamedTuple):
    check: Check
    outcome: CheckOutcome
    description: str

    @property
    def is_failure(self) -> bool:
        """Whether the checks that require this one are skipped."""
        return self.outcome in {CheckOutcome.FAILED, CheckOutcome.SKIPPED}


def run_checks(checks: Iterable[Check], timeout: float, describe: Callable[[Exception], str]) -> Iterator[CheckResult]:
    """Run the checks one by one, each for at most `timeout` seconds. `describe` returns the text of an error."""
    failed: set[str] = set()
    for check in checks:
        if missing := failed.intersection(check.requires):
            result = CheckResult(check, CheckOutcome.SKIPPED, f"skipped: {min(missing)} failed")
        else:
            result = _run(check, timeout, describe)
        if result.is_failure:
            failed.add(check.name)
        yield result


def _run(check: Check, timeout: float, describe: Callable[[Exception], str]) -> CheckResult:
    try:
        return CheckResult(check, CheckOutcome.PASSED, run_with_timeout(timeout, check.run))
    except CheckWarning as warning:
        return CheckResult(check, CheckOutcome.WARNING, str(warning))
    except Exception as error:  # noqa: BLE001 - the other checks run whatever the error is
        return CheckResult(check, CheckOutcome.FAILED, describe(error))

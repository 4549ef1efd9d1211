"""`orders doctor`: checks Kafka, PostgreSQL and the schema registry, and prints how to fix each problem."""

import argparse
from typing import Final

from service.app.commands.doctor.checks import checks
from service.config import Settings
from service.config.redaction import redacted_variables
from service.errors import OrdersError
from service.pkg.exit_codes import ExitCode
from service.pkg.report import add_json_option, reporting
from service.usecases.diagnose import CheckOutcome, CheckResult, run_checks

CHECK_TIMEOUT_SECONDS: Final = 15.0
"""Timeout of each check."""
_SIGNS: Final = {
    CheckOutcome.PASSED: "✓",
    CheckOutcome.WARNING: "!",
    CheckOutcome.FAILED: "✗",
    CheckOutcome.SKIPPED: "✗",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_json_option(parser)


def run(args: argparse.Namespace, settings: Settings, _stop: object) -> int:
    """Print the settings without secrets and the result of each check; return DONE if all checks pass, else FAILED.

    A warning counts as passed.
    """
    with reporting(args) as report:
        variables = redacted_variables(settings)
        for name, value in variables.items():
            report.line(f"{name}={value}")
        report.line("")
        results = []
        for result in run_checks(checks(settings), CHECK_TIMEOUT_SECONDS, _describe):
            report.line(_text(result))
            results.append(result)
        report.add(settings=variables, checks=[_fields(result) for result in results])
    return ExitCode.FAILED if any(result.is_failure for result in results) else ExitCode.DONE


def _fields(result: CheckResult) -> dict[str, str | None]:
    outcome = result.outcome.name.lower()
    return {
        "name": result.check.name,
        "outcome": outcome,
        "description": result.description,
        "hint": result.check.hint if _has_hint(result) else None,
    }


def _text(result: CheckResult) -> str:
    line = f"{_SIGNS[result.outcome]} {result.check.name:<22} {result.description}"
    return f"{line}\n  {'':<22} {result.check.hint}" if _has_hint(result) else line


def _has_hint(result: CheckResult) -> bool:
    return result.outcome in {CheckOutcome.WARNING, CheckOutcome.FAILED}


def _describe(error: Exception) -> str:
    match error:
        case OrdersError():
            return str(error)
        case TimeoutError():
            return str(error) or "timed out"
    return f"unhandled error (this is a bug): {type(error).__name__}"

"""`orders doctor`: checks Kafka and PostgreSQL, and prints how to fix each problem."""

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import psycopg

from service.app.commands.support.doctor_checks import checks
from service.config import Settings
from service.config.redaction import redacted
from service.config.sources import DELIMITER
from service.errors import OrdersError
from service.pkg.exit_codes import ExitCode
from service.pkg.output import echo
from service.usecases.diagnose import CheckOutcome, CheckResult, run_checks

CHECK_TIMEOUT_SECONDS: Final = 15.0
"""Timeout of each check."""
_SIGNS: Final = {
    CheckOutcome.PASSED: "✓",
    CheckOutcome.WARNING: "!",
    CheckOutcome.FAILED: "✗",
    CheckOutcome.SKIPPED: "✗",
}


def run(_args: argparse.Namespace, settings: Settings, _stop: object) -> int:
    """Print the settings without secrets and the result of each check; return DONE if all checks pass, else FAILED.

    A warning counts as passed.
    """
    for line in _variables("ORDERS", redacted(settings)):
        echo(line)
    echo("")
    code = ExitCode.DONE
    for result in run_checks(checks(settings), CHECK_TIMEOUT_SECONDS, _describe):
        echo(_text(result))
        if result.is_failure:
            code = ExitCode.FAILED
    return code


def _text(result: CheckResult) -> str:
    line = f"{_SIGNS[result.outcome]} {result.check.name:<22} {result.description}"
    has_hint = result.outcome in {CheckOutcome.WARNING, CheckOutcome.FAILED}
    return f"{line}\n  {'':<22} {result.check.hint}" if has_hint else line


def _describe(error: Exception) -> str:
    match error:
        case OrdersError():
            return str(error)
        case TimeoutError():
            return str(error) or "timed out"
        case psycopg.Error():
            return f"{type(error).__name__}, SQLSTATE {error.sqlstate}" if error.sqlstate else type(error).__name__
    return type(error).__name__


def _variables(prefix: str, values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        variable = f"{prefix}{DELIMITER if prefix != 'ORDERS' else '_'}{name.upper()}"
        if isinstance(value, dict) and name != "properties":
            yield from _variables(variable, value)
        else:
            yield f"{variable}={value if isinstance(value, str) else '' if value is None else json.dumps(value)}"

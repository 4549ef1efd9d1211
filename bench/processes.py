"""The processes of a measurement, run as users run them, such as `python -m service consumer`."""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar
from uuid import uuid4

import msgspec

from bench.context import Context
from local.ports import HOST, free_port
from local.process import Process, environment_without_settings
from local.ready import is_ready
from service.errors import ServerUnavailable
from service.pkg.polling import poll
from service.pkg.shutdown_event import ShutdownEvent

_READY_TIMEOUT_SECONDS: Final = 60.0
_RESULT_TIMEOUT_SECONDS: Final = 300.0
_POLL_INTERVAL_SECONDS: Final = 0.1
_ROOT: Final = Path(__file__).parents[1]
_Result = TypeVar("_Result")


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which Python imports this checkout, with no other settings of Orders."""
    return {**environment_without_settings(), "PYTHONPATH": str(_ROOT), "ORDERS_LOG__LEVEL": "warning", **settings}


def child(context: Context, name: str, arguments: Sequence[str], settings: Mapping[str, str]) -> Process:
    """Return a process, not started yet, of `python -m ARGUMENTS`, with its own log file."""
    command = [sys.executable, "-m", *arguments]
    log = context.folder / f"{name}-{uuid4().hex[:8]}.log"
    return Process(name, command, log, environment=_environment(settings))


class MeasuredService:
    """`orders consumer` or `orders api`, on free ports."""

    def __init__(self, context: Context, mode: str, settings: Mapping[str, str]) -> None:
        self.admin_port, self.port = free_port(), free_port()
        ports = {
            "ORDERS_ADMIN__HOST": HOST,
            "ORDERS_ADMIN__PORT": str(self.admin_port),
            "ORDERS_HTTP__HOST": HOST,
            "ORDERS_HTTP__PORT": str(self.port),
        }
        self.process = child(context, f"orders {mode}", ["service", mode], ports | dict(settings))

    def wait_until_ready(self) -> None:
        """Block until `/readyz` returns 200. Raises ServerUnavailable."""
        self.process.wait_until(partial(is_ready, self.admin_port), _READY_TIMEOUT_SECONDS, ShutdownEvent())


def run_for_result(process: Process, kind: type[_Result], seconds: float = _RESULT_TIMEOUT_SECONDS) -> _Result:
    """Run the process until it exits; return the JSON in the last line of its output. Raises ServerUnavailable."""
    process.run(seconds, ShutdownEvent())
    lines = process.log.read_bytes().splitlines() or [b""]
    try:
        return msgspec.json.decode(lines[-1], type=kind)
    except msgspec.DecodeError:
        raise ServerUnavailable(f"{process.name} reported no result; {process.tail()}") from None


def wait_until(condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Block until the condition is true. Raises ServerUnavailable on a timeout."""
    if not poll(condition, bool, seconds=seconds, interval=_POLL_INTERVAL_SECONDS):
        raise ServerUnavailable(f"timed out after {seconds:g} s waiting for {what}")

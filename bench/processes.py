"""Processes that are measured, run as users run them: `python -m service consumer` and the like."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Final
from uuid import uuid4

import msgspec

from bench.context import Context
from bench.pace import Pace
from local.ports import HOST, free_port
from local.process import Process
from local.ready import is_ready
from service.errors import ServerUnavailable
from service.pkg.shutdown_event import ShutdownEvent

_READY_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.1
_ROOT: Final = Path(__file__).parents[1]


def environment_of_ours(settings: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which Python finds this very code, and of Orders' settings these alone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ORDERS_")}
    return {**kept, "PYTHONPATH": str(_ROOT), "ORDERS_LOG__LEVEL": "warning", **settings}


def child(context: Context, name: str, arguments: Sequence[str], settings: Mapping[str, str]) -> Process:
    """Return a process that is not started yet: `python -m ARGUMENTS`; its log has a name of its own."""
    command = [sys.executable, "-m", *arguments]
    log = context.folder / f"{name}-{uuid4().hex[:8]}.log"
    return Process(name, command, log, environment=environment_of_ours(settings))


class Service:
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
        """Block until `/readyz` answers 200. Raises ServerUnavailable."""
        self.process.wait_until(partial(is_ready, self.admin_port), _READY_SECONDS, ShutdownEvent())


def told(process: Process, seconds: float) -> Pace:
    """Run a process to its end and return the pace that its last line reports. Raises ServerUnavailable."""
    process.run(seconds, ShutdownEvent())
    lines = process.log.read_text().splitlines()
    try:
        return Pace.read(lines[-1] if lines else "")
    except msgspec.DecodeError:
        raise ServerUnavailable(f"{process.name} reported nothing; {process.tail()}") from None


def await_that(holds: Callable[[], bool], what: str, seconds: float) -> None:
    """Block until it holds. Raises ServerUnavailable."""
    deadline = monotonic() + seconds
    while not holds():
        if monotonic() > deadline:
            raise ServerUnavailable(f"waited {seconds:g} s in vain for {what}")
        sleep(_LOOK_SECONDS)

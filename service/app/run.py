"""Runs a command, and finds out why Kafka is unavailable."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from service.handler.kafka.client.diagnostics import diagnosed
from service.pkg.shutdown_event import ShutdownEvent

if TYPE_CHECKING:
    from service.config import Settings

Run = Callable[[argparse.Namespace, "Settings", ShutdownEvent], int]
"""Runs a command and returns its exit code.

A command that ends by itself when the event is set calls `set_at_signals`. Others are ended by Ctrl-C at any time.
`orders api` handles the signals on its event loop instead.
"""


def run_command(run: Run, args: argparse.Namespace, settings: "Settings", stop: ShutdownEvent) -> int:
    """Return the exit code of the command. Raises OrdersError."""
    with diagnosed(settings.kafka):
        return run(args, settings, stop)

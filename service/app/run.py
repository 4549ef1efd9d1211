"""Runs a command, and explains errors of the Kafka client to its user."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from service.errors import InvalidSettings
from service.handler.kafka.client import properties
from service.handler.kafka.client.diagnostics import translated
from service.pkg.shutdown_event import ShutdownEvent

if TYPE_CHECKING:
    from service.config import Settings

Run = Callable[[argparse.Namespace, "Settings", ShutdownEvent], int]
"""Runs a command and returns its exit code.

A command that ends by itself when the event is set calls `set_at_signals`. Others are ended by Ctrl-C at any time.
"""


def run_command(run: Run, args: argparse.Namespace, settings: "Settings", stop: ShutdownEvent) -> int:
    """Return the exit code of the command. Raises OrdersError."""
    with translated(properties.common(settings.kafka)):
        try:
            return run(args, settings, stop)
        except KafkaException as error:
            if (problem := properties.invalid_property(error, settings.kafka.properties)) is None:
                raise
            raise InvalidSettings(f"ORDERS_KAFKA__PROPERTIES: {problem}") from None

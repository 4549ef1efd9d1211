"""`orders wait-for-migrations`: blocks until the schema is up to date and, except in mode `api`, Kafka answers."""

import argparse

from service.app.commands.connections.kafka_clients import admin_client
from service.config import Settings
from service.handler.kafka.operations.topic_creation import wait_for_broker
from service.pkg.exit_codes import ExitCode
from service.pkg.output import echo
from service.pkg.polling import Poller
from service.pkg.shutdown_event import ShutdownEvent
from service.repo.conninfo import conninfo_of
from service.repo.schema.migrate import wait_for_migrations


def run(_args: argparse.Namespace, settings: Settings, stop: ShutdownEvent) -> int:
    """Block until the schema, and Kafka if needed, are ready; return the exit code.

    Raises CommandFailed, Stopped.
    """
    stop.set_at_signals()
    wait_for_migrations(conninfo_of(settings.postgres), settings.migration, echo=echo, stop=stop)
    if settings.mode != "api":
        wait_for_broker(admin_client(settings.kafka), Poller(settings.migration.timeout, echo, stop))
    return ExitCode.DONE

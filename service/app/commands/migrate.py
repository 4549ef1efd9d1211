"""`orders migrate`: creates or upgrades the schema and the topics."""

import argparse

from service.app.commands.connections.kafka_clients import admin_client
from service.config import Settings
from service.handler.kafka.operations.topic_creation import create_missing
from service.pkg.exit_codes import ExitCode
from service.pkg.output import echo
from service.pkg.polling import Poller
from service.pkg.shutdown_event import ShutdownEvent
from service.repo.conninfo import listen_conninfos
from service.repo.schema.migrate import migrate


def run(_args: argparse.Namespace, settings: Settings, stop: ShutdownEvent) -> int:
    """Create or upgrade schema and topics; return the exit code. Raises CommandFailed, Stopped."""
    stop.set_at_signals()
    # Prefer the direct connection: the timeouts of a pooler may interrupt migrations.
    migrate(listen_conninfos(settings.postgres)[0], settings.migration, echo=echo, stop=stop)
    if settings.kafka.create_topics:
        poller = Poller(settings.migration.timeout, echo, stop)
        create_missing(settings.kafka, admin_client(settings.kafka), poller, echo)
    return ExitCode.DONE

"""`orders migrate` and `orders wait-for-migrations`: the schema and the topics, without which nothing runs."""

from collections.abc import Callable
from functools import partial

from service.config import Settings
from service.entities.errors import MigrationError
from service.handler.kafka import properties, topics
from service.handler.kafka.away import Admin
from service.pkg.patience import OutOfPatience, Patience, say
from service.pkg.stop import Stop, stop_at_signals
from service.repo.migrate import migrate, wait_for_migrations


def run_migrate(settings: Settings) -> int:
    """Bring schema and topics to what this release needs; return the exit code. Raises MigrationError."""
    return _run(partial(_migrate, settings))


def run_wait_for_migrations(settings: Settings) -> int:
    """Block until the schema is there, and Kafka where it is needed; return the exit code. Raises MigrationError."""
    return _run(partial(_wait, settings))


def _migrate(settings: Settings, stop: Stop) -> None:
    # Where there is a direct connection it is taken: a pooler's own timeouts are not made for migrations.
    dsn = settings.postgres.listen_dsn or settings.postgres.dsn
    migrate(dsn, settings.migration, say=say, stop=stop)
    if settings.kafka.create_topics:
        topics.provide(settings.kafka, _admin(settings), Patience(settings.migration.deadline, say, stop), say)


def _wait(settings: Settings, stop: Stop) -> None:
    wait_for_migrations(settings.postgres.dsn, settings.migration, say=say, stop=stop)
    if settings.mode != "api":
        topics.wait_for_broker(_admin(settings), Patience(settings.migration.deadline, say, stop))


def _run(command: Callable[[Stop], None]) -> int:
    try:
        command(stop_at_signals())
    except OutOfPatience as end:
        raise MigrationError(str(end)) from None
    return 0


def _admin(settings: Settings) -> Admin:
    return Admin(properties.common(settings.kafka))

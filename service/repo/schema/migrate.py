"""Migrates the schema to the head of this release, and checks its revision."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg.errors import UndefinedTable
from psycopg.rows import TupleRow
from sqlalchemy import Connection, Engine, NullPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from service.errors import CommandFailed, TryAgain
from service.pkg.output import Echo
from service.pkg.polling import Poller
from service.pkg.shutdown_event import ShutdownEvent
from service.repo.connection import require_utf8
from service.repo.connection_errors import describe_with_address
from service.repo.conninfo import Conninfo
from service.repo.schema.missing_columns import MISSING_COLUMNS_HINT, missing_columns
from service.repo.schema.visible_tables import search_path_problem
from service.repo.transactions import NO_TRANSACTION_TIMEOUT
from service.repo.translate import Failure, classify, translate, translated

if TYPE_CHECKING:
    from service.config import MigrationSettings

LOCK_KEY: Final = "hashtextextended('orders migration ' || coalesce(current_schema(), ''), 0)"
"""Key of the advisory lock that a migration holds."""
TRY_LOCK: Final = f"SELECT pg_try_advisory_xact_lock({LOCK_KEY})"
"""Keeps migrations from running at the same time."""
NEWEST_RELEASE: Final = "SELECT max(number) FROM schema_releases"
"""The number of the schema's revision. Uses the primary key."""


def migrate(
    conninfo: Conninfo, limits: "MigrationSettings", *, echo: Echo = print, stop: ShutdownEvent | None = None
) -> None:
    """Upgrade the schema to the head of this release; leave a newer one as it is. Waits for a running migration.

    Blocks until done. Raises CommandFailed if PostgreSQL rejects a statement, or at the deadline, and Stopped.
    """
    Poller(limits.timeout, echo, stop).until(lambda: _migrate_once(conninfo, limits, echo), "PostgreSQL")


def wait_for_migrations(
    conninfo: Conninfo, limits: "MigrationSettings", *, echo: Echo = print, stop: ShutdownEvent | None = None
) -> None:
    """Block until the schema is at least at the head of this release.

    Raises CommandFailed if PostgreSQL rejects a statement, or at the deadline, and Stopped.
    """
    Poller(limits.timeout, echo, stop).until(lambda: _require_head(conninfo), "PostgreSQL")


def head_number() -> int:
    """Return the number of the newest revision of this release."""
    return int(str(ScriptDirectory.from_config(alembic_config()).get_current_head()))


def schema_number(conninfo: Conninfo) -> int:
    """Return the number of the newest revision in the database, or 0. Raises StorageError."""
    with translated(), _connect(conninfo) as connection:
        return _number(connection)


def engine(conninfo: Conninfo, limits: "MigrationSettings") -> Engine:
    """Return an engine that opens a connection for each use, and sets timeouts in every transaction.

    It uses no session state, so it works through a pooler in transaction mode.
    """
    new_engine = create_engine("postgresql+psycopg://", creator=lambda: _connect(conninfo), poolclass=NullPool)

    @event.listens_for(new_engine, "begin")
    def set_timeouts(connection: Connection) -> None:
        connection.exec_driver_sql(NO_TRANSACTION_TIMEOUT)
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {limits.lock_timeout * 1000:.0f}")
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {limits.statement_timeout * 1000:.0f}")

    return new_engine


def alembic_config(connection: Connection | None = None) -> Config:
    """Return the Alembic configuration of the installed migrations."""
    config = Config()
    config.set_main_option("script_location", "migrations:")
    config.attributes["connection"] = connection
    return config


def _connect(conninfo: Conninfo) -> psycopg.Connection[TupleRow]:
    return require_utf8(
        psycopg.connect(conninfo.resolve(), connect_timeout=conninfo.whole_connect_timeout, prepare_threshold=None)
    )


def _migrate_once(conninfo: Conninfo, limits: "MigrationSettings", echo: Echo) -> None:
    head = head_number()
    with _translated(conninfo):
        before = _upgrade(conninfo, limits, head)
        with _connect(conninfo) as connection:
            _require_columns(connection)
    if before < head:
        echo(f"schema: migrated from {before:04} to {head:04}")
    else:
        echo(f"schema: at {before:04}, this release needs {head:04}: nothing to do")


def _upgrade(conninfo: Conninfo, limits: "MigrationSettings", head: int) -> int:
    """Upgrade the schema if it is older than the head; return its number before."""
    with _connect(conninfo) as locking:
        take_lock(locking)
        before = _number(locking)
        if before < head:
            with engine(conninfo, limits).connect() as connection:
                command.upgrade(alembic_config(connection), "head")
    return before


def _require_head(conninfo: Conninfo) -> None:
    head = head_number()
    with _translated(conninfo), _connect(conninfo) as connection:
        number = _number(connection)
        if number < head:
            raise TryAgain(f"the schema migration: it is at {number:04}, this release needs {head:04}")
        _require_columns(connection)


def _require_columns(connection: psycopg.Connection[TupleRow]) -> None:
    if problem := search_path_problem(connection):
        raise CommandFailed(problem)
    if missing := missing_columns(connection):
        raise CommandFailed(f"columns are missing: {', '.join(missing)} ({MISSING_COLUMNS_HINT})")


def take_lock(connection: psycopg.Connection[TupleRow]) -> None:
    """Take the lock until the end of the transaction: a session's lock would stay on a pooler's connection."""
    connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    connection.execute(NO_TRANSACTION_TIMEOUT)
    if connection.execute(TRY_LOCK).fetchone() != (True,):
        raise TryAgain("another migration to finish")


def _number(connection: psycopg.Connection[TupleRow]) -> int:
    try:
        with connection.transaction():
            row = connection.execute(NEWEST_RELEASE).fetchone()
    except UndefinedTable:
        return 0
    return (row and row[0]) or 0


@contextmanager
def _translated(conninfo: Conninfo) -> Iterator[None]:
    """Turn the driver's errors into TryAgain or CommandFailed, without their text."""
    try:
        yield
    except psycopg.Error as error:
        raise _translate(error, conninfo) from None
    except DBAPIError as error:
        raise _translate(error.orig, conninfo) from None


def _translate(error: BaseException | None, conninfo: Conninfo) -> Exception:
    if not isinstance(error, psycopg.Error):
        return CommandFailed("invalid connection string")
    match classify(error):
        case Failure.NO_RESPONSE if isinstance(error, psycopg.OperationalError):
            return TryAgain(f"PostgreSQL at {describe_with_address(error, conninfo.dsn)}")
        case Failure.NO_RESPONSE:
            return CommandFailed("invalid connection string")
        case Failure.TEMPORARY:
            return TryAgain(f"PostgreSQL: {translate(error)}")
    return CommandFailed(f"PostgreSQL rejected a statement: {translate(error)}. PostgreSQL's log has the statement.")

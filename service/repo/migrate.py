"""Brings the schema to what this release needs, and tells whether it is there."""

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

from service.entities.errors import MigrationError
from service.pkg.polling import Echo, Poller, TryAgain
from service.pkg.shutdown_event import ShutdownEvent
from service.repo.connection import require_utf8
from service.repo.connection_errors import unreachable
from service.repo.scope import lock_key

if TYPE_CHECKING:
    from service.config import Migration

LOCK_KEY: Final = lock_key("migration", "coalesce(current_schema(), '')")
"""Whoever holds this advisory lock migrates."""
TRY_LOCK: Final = f"SELECT pg_try_advisory_xact_lock({LOCK_KEY})"
CONNECT_SECONDS: Final = 5
_RETRIED: Final = ("08", "25006", "40001", "40P01", "53", "55P03", "57P")
"""SQLSTATEs: the connection was lost, a standby, a race, a full server, a lock not had in time, a server going."""


def migrate(dsn: str, limits: "Migration", *, echo: Echo = print, stop: ShutdownEvent | None = None) -> None:
    """Bring the schema to this release's head; leave a newer one as it is. Whoever comes second waits for the first.

    Blocks until done. Raises MigrationError where PostgreSQL refuses, DeadlineExceeded at the deadline or on a stop.
    """
    Poller(limits.deadline, echo, stop).until(lambda: _migrate_once(dsn, limits, echo), "PostgreSQL")


def wait_for_migrations(
    dsn: str, limits: "Migration", *, echo: Echo = print, stop: ShutdownEvent | None = None
) -> None:
    """Block until the schema is at least at this release's head.

    Raises MigrationError where PostgreSQL refuses, DeadlineExceeded at the deadline or on a stop.
    """
    Poller(limits.deadline, echo, stop).until(lambda: _require_head(dsn), "PostgreSQL")


def wanted_number() -> int:
    """Return the number of this release's newest revision."""
    return int(str(ScriptDirectory.from_config(alembic_config()).get_current_head()))


def schema_number(dsn: str) -> int:
    """Return the number of the schema's newest revision; 0 where there is none. Raises psycopg.Error."""
    with _connect(dsn) as connection:
        return _number(connection)


def engine(dsn: str, limits: "Migration") -> Engine:
    """Return an engine that opens a connection for each use and limits the time of every transaction.

    Nothing outlives a transaction, so that a pooler in transaction mode may stand in between.
    """
    made = create_engine("postgresql+psycopg://", creator=lambda: _connect(dsn), poolclass=NullPool)

    @event.listens_for(made, "begin")
    def limit(connection: Connection) -> None:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {limits.lock_timeout * 1000:.0f}")
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {limits.statement_timeout * 1000:.0f}")

    return made


def alembic_config(connection: Connection | None = None) -> Config:
    """Return the configuration of the migrations that this installation carries."""
    config = Config()
    config.set_main_option("script_location", "migrations:")
    config.attributes["connection"] = connection
    return config


def _connect(dsn: str) -> psycopg.Connection[TupleRow]:
    return require_utf8(psycopg.connect(dsn, connect_timeout=CONNECT_SECONDS, prepare_threshold=None))


def _migrate_once(dsn: str, limits: "Migration", echo: Echo) -> None:
    wanted = wanted_number()
    with _translated(dsn), _connect(dsn) as guard:
        _take_lock(guard)
        before = _number(guard)
        if before >= wanted:
            echo(f"schema: at {before:04}, this release needs {wanted:04}: nothing to do")
            return
        with engine(dsn, limits).connect() as connection:
            command.upgrade(alembic_config(connection), "head")
    echo(f"schema: brought from {before:04} to {wanted:04}")


def _require_head(dsn: str) -> None:
    wanted = wanted_number()
    with _translated(dsn):
        number = schema_number(dsn)
    if number < wanted:
        raise TryAgain(f"the schema: it is at {number:04}, this release needs {wanted:04}")


def _take_lock(guard: psycopg.Connection[TupleRow]) -> None:
    """Hold the lock for as long as the transaction lasts: a session's lock would stay behind in a pooler."""
    guard.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    if guard.execute(TRY_LOCK).fetchone() != (True,):
        raise TryAgain("another migration to end")


def _number(connection: psycopg.Connection[TupleRow]) -> int:
    try:
        with connection.transaction():
            row = connection.execute("SELECT max(number) FROM schema_releases").fetchone()
    except UndefinedTable:
        return 0
    return (row and row[0]) or 0


@contextmanager
def _translated(dsn: str) -> Iterator[None]:
    """Turn the driver's errors into TryAgain or MigrationError, without their text."""
    try:
        yield
    except psycopg.Error as error:
        raise _verdict(error, dsn) from None
    except DBAPIError as error:
        raise _verdict(error.orig, dsn) from None


def _verdict(error: BaseException | None, dsn: str) -> Exception:
    if isinstance(error, psycopg.OperationalError) and not error.sqlstate:
        return TryAgain(f"PostgreSQL at {unreachable(error, dsn)}")
    state = getattr(error, "sqlstate", None)
    if not state:
        return MigrationError("the connection string can't be read")
    if state.startswith(_RETRIED):
        return TryAgain(f"PostgreSQL to let it happen (SQLSTATE {state})")
    return MigrationError(f"PostgreSQL refused ({type(error).__name__}, SQLSTATE {state})")

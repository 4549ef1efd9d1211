"""Connections with a timeout for every call, their settings, and the check of the database's encoding."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import Buffer, PQGen
from psycopg.adapt import Loader
from psycopg.pq import TransactionStatus
from psycopg.types.string import ByteaBinaryLoader
from psycopg.waiting import wait_async

from service.errors import CommandFailed
from service.repo.conninfo import Conninfo

UTF8: Final = "UTF8"
GRACE_SECONDS: Final = 5.0
"""How long a client waits beyond the server's timeout, because a frozen server never answers."""
_PREPARE_THRESHOLD: Final = 5
"""Executions of a statement on a connection after which it is prepared."""
BACKEND_PID: Final = "SELECT pg_backend_pid()"
"""Through a pooler, its result differs from the process id that the client received when it connected."""
NEVER_TIME_OUT_IDLE: Final = (
    "SELECT set_config('idle_session_timeout', '0', false) "
    "WHERE current_setting('idle_session_timeout', true) <> '0' AND pg_backend_pid() = %s"
)
"""Keeps PostgreSQL from ending this session, which idles on purpose, although an operator limits how long others idle.

The parameter is the process id that the client received: through a pooler, this does nothing."""
DISABLED_SETTINGS: Final = ("enable_seqscan", "jit", "row_security")
"""Turned off: the planner prefers sequential scans of tables that were never analyzed, and would compile each read.
With `row_security`, orders that a policy hides would be missing without an error, and never be erased."""
SERVER: Final = "SELECT pg_backend_pid(), pg_is_in_recovery()"
"""BACKEND_PID, and whether the server is a standby."""
PREPARED_STATEMENT_ERRORS: Final = frozenset({"26000", "42P05"})
"""SQLSTATEs of prepared statements that are missing or exist already: a pooler has switched server connections."""
_WAIT_FOR_DISK: Final = (
    "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
)
"""A commit that returns before it is on disk is lost if the server crashes."""
_FIRE_TRIGGERS: Final = (
    "SELECT set_config('session_replication_role', 'origin', true) "
    "WHERE current_setting('session_replication_role') = 'replica'"
)
"""A replica checks no foreign key, and deletes no rows by cascade: erased orders would leave their child rows."""
_POLL_INTERVAL_SECONDS: Final = 0.1
_Result = TypeVar("_Result")
Connection = TypeVar("Connection", bound=psycopg.Connection[Any])


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """Where to connect, timeouts of statements in seconds, and the `application_name` of the connections."""

    conninfo: Conninfo
    application: str
    statement_timeout: float
    lock_timeout: float
    prepared_statements: bool | None
    """None: on a direct connection only, not through a pooler."""

    @property
    def parameters(self) -> dict[str, Any]:
        """Connection parameters in addition to `conninfo`. Statements outside `begin` are committed one by one."""
        return {
            "autocommit": True,
            "connect_timeout": self.conninfo.whole_connect_timeout,
            "client_encoding": "utf8",
            "prepare_threshold": None if self.prepared_statements is False else _PREPARE_THRESHOLD,
            "application_name": self.application,
        }

    @property
    def begin(self) -> str:
        """The statements that begin a transaction, in one round trip.

        SET LOCAL is reset at the end of the transaction, so this works through a pooler in transaction mode.

        The idle timeout releases the locks of a frozen process. Sequential scans are off because the planner chooses
        them on tables that were never analyzed; for the same reason tables are joined in the order of the statement.
        The setting of Citus, which PostgreSQL alone ignores, makes the others reach its workers. Warnings arrive: one
        says that a commit did not wait for its standbys. READ COMMITTED, whatever the server's default, lets a
        statement that waited for a lock see what was committed meanwhile.
        """
        return (
            "BEGIN ISOLATION LEVEL READ COMMITTED; "
            "SET LOCAL citus.propagate_set_commands = 'local'; "
            "SET LOCAL client_min_messages = warning; "
            f"{_WAIT_FOR_DISK}; {_FIRE_TRIGGERS}; "
            f"SET LOCAL statement_timeout = {round(self.statement_timeout * 1000)}; "
            f"SET LOCAL lock_timeout = {round(self.lock_timeout * 1000)}; "
            f"SET LOCAL idle_in_transaction_session_timeout = {round(GRACE_SECONDS * 1000)}; "
            + "".join(f"SET LOCAL {name} = off; " for name in DISABLED_SETTINGS)
            + "SET LOCAL join_collapse_limit = 1"
        )


def is_pooled(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any], backend_pid: int) -> bool:
    """Return whether the result of BACKEND_PID shows that the connection leads through a pooler."""
    return backend_pid != connection.info.backend_pid


def require_utf8(connection: Connection) -> Connection:
    """Return the connection. If the encoding of its database is not UTF8, close it and raise CommandFailed."""
    encoding = connection.info.parameter_status("server_encoding") or ""  # reported by the server on connecting
    if encoding != UTF8:
        connection.close()
        raise unsupported_encoding(encoding)
    return connection


def unsupported_encoding(encoding: str) -> CommandFailed:
    """Return the error for a database whose encoding is not UTF8."""
    return CommandFailed(f"unsupported database encoding {encoding}: create the database with ENCODING 'UTF8'")


class BoundedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A call that blocks for more than `call_timeout` seconds raises psycopg.OperationalError."""

    call_timeout: float = 30 + GRACE_SECONDS

    def wait(
        self, gen: PQGen[_Result], interval: float = _POLL_INTERVAL_SECONDS, timeout: float | None = None
    ) -> _Result:
        return super().wait(gen, interval, self.call_timeout if timeout is None else timeout)


class BoundedAsyncConnection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """A call that waits for more than `call_timeout` seconds raises psycopg.OperationalError.

    A canceled call closes the connection at once. psycopg would wait up to 10 s for the server, which may be frozen.
    """

    call_timeout: float = 30
    may_be_standby = False
    """Whether queries may run on a standby."""

    async def wait(  # psycopg's interface
        self,
        gen: PQGen[_Result],
        interval: float = _POLL_INTERVAL_SECONDS,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> _Result:
        timeout = self.call_timeout if timeout is None else timeout
        try:
            return await wait_async(gen, self.pgconn.socket, interval=interval, timeout=timeout)
        except asyncio.CancelledError:
            self.pgconn.finish()
            raise

    @property
    def has_timed_out(self) -> bool:
        """Whether the last call timed out: the server is still executing it, or does not respond."""
        return bool(self.info.transaction_status is TransactionStatus.ACTIVE)

    async def abandon(self) -> None:
        """Cancel the running query, for at most GRACE_SECONDS, and close."""
        with suppress(psycopg.Error):
            await self.cancel_safe(timeout=GRACE_SECONDS)
        await self.close()


def ignore_notify(_: psycopg.Notify) -> None:
    """Drop a notification, because psycopg queues them without limit if there is no handler.

    They can arrive without a LISTEN: a pooler reuses server connections on which another client has executed one.
    """


def load_text_as_bytes(connection: psycopg.AsyncConnection[Any]) -> None:
    """Return text columns as UTF-8 bytes instead of str."""
    connection.adapters.register_loader("text", ByteaBinaryLoader)
    connection.adapters.register_loader("text", _BytesLoader)


class _BytesLoader(Loader):
    """Loads text columns of results in text format as bytes."""

    def load(self, data: Buffer) -> bytes:
        return bytes(data)

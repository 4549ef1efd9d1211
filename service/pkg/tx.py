"""Transactions on one PostgreSQL connection, each with server-side and client-side timeouts."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

GRACE_SECONDS: Final = 5.0
"""How long a client waits beyond the server's timeout, because a frozen server never answers."""
_PREPARE_THRESHOLD: Final = 5
"""Executions of a statement on a connection after which it is prepared."""

TERMINATE_FROZEN: Final = """\
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND application_name = %s
  AND state = 'active' AND wait_event = 'ClientRead' AND query_start < now() - %s * interval '1 second'"""
"""Terminates this role's sessions of an application whose client stopped sending in the middle of a COPY."""

BACKEND_PID: Final = "SELECT pg_backend_pid()"
"""Through a pooler, its result differs from the process id that the client received on connecting."""
PREPARED_STATEMENT_ERRORS: Final = frozenset({"26000", "42P05"})
"""SQLSTATEs of prepared statements that are missing or exist already: a pooler has switched server connections."""

_POLL_INTERVAL_SECONDS: Final = 0.1
_ROLLBACK_POSSIBLE: Final = (TransactionStatus.IDLE, TransactionStatus.INTRANS, TransactionStatus.INERROR)
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach PostgreSQL and how long to wait for it; all times in seconds."""

    dsn: str
    application: str
    connect_timeout: float = 5
    statement_timeout: float = 30
    lock_timeout: float = 10
    prepared_statements: bool | None = None
    """None: on a direct connection only, not through a pooler."""

    @property
    def parameters(self) -> dict[str, Any]:
        """Connection parameters in addition to the DSN. Statements outside `begin` commit by themselves."""
        return {
            "autocommit": True,
            "connect_timeout": max(1, round(self.connect_timeout)),
            "client_encoding": "utf8",
            "prepare_threshold": None if self.prepared_statements is False else _PREPARE_THRESHOLD,
            "application_name": self.application,
        }

    @property
    def begin(self) -> str:
        """The statements that begin a transaction, in one round trip.

        SET LOCAL is reset at the end of the transaction, so this works through a pooler in transaction mode.

        The idle timeout releases the locks of a frozen process. Sequential scans are off because the planner chooses
        them on tables that were never analyzed. READ COMMITTED, whatever the server's default, lets a statement that
        waited for a lock see what was committed meanwhile.
        """
        return (
            "BEGIN ISOLATION LEVEL READ COMMITTED; "
            f"SET LOCAL statement_timeout = {round(self.statement_timeout * 1000)}; "
            f"SET LOCAL lock_timeout = {round(self.lock_timeout * 1000)}; "
            f"SET LOCAL idle_in_transaction_session_timeout = {round(GRACE_SECONDS * 1000)}; "
            "SET LOCAL enable_seqscan = off"
        )


class BoundedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A call that blocks for more than `call_timeout` seconds raises psycopg.OperationalError."""

    call_timeout: float = 30 + GRACE_SECONDS

    def wait(
        self, gen: PQGen[_Result], interval: float = _POLL_INTERVAL_SECONDS, timeout: float | None = None
    ) -> _Result:
        return super().wait(gen, interval, self.call_timeout if timeout is None else timeout)


def ignore_notify(_: psycopg.Notify) -> None:
    """Drop a notification, because psycopg queues them without limit if there is no handler.

    They can arrive without a LISTEN: a pooler reuses server connections on which another client has executed one.
    """


def _is_pooled(connection: BoundedConnection) -> bool:
    return connection.execute(BACKEND_PID).fetchone() != (connection.info.backend_pid,)


class Transactions:
    """Connects on first use, and again after a failure. Not thread-safe."""

    def __init__(
        self, access: Access, accept: Callable[[BoundedConnection], BoundedConnection] = lambda opened: opened
    ) -> None:
        """`accept` checks each new connection, and raises to reject it."""
        self._access = access
        self._accept = accept
        self._connection: BoundedConnection | None = None

    @contextlib.contextmanager
    def begin(self, first: str = "") -> Iterator[BoundedConnection]:
        """Commit at the end of the block; roll back if it raises. Raises psycopg.Error.

        `first` is a statement without parameters, such as one that takes a lock; it costs no extra round trip.
        If the connection fails during COMMIT, the outcome is unknown: the transaction must be safe to repeat.
        """
        connection = self._open()
        try:
            connection.execute(f"{self._access.begin}; {first}")
            yield connection
            connection.execute("COMMIT")
        except BaseException as error:
            if isinstance(error, psycopg.Error) and error.sqlstate in PREPARED_STATEMENT_ERRORS:
                self._access = replace(self._access, prepared_statements=False)
            self._roll_back(connection)
            raise

    def terminate_frozen(self, application: str | None = None) -> None:
        """Terminate the sessions of frozen processes of `application` (default: this one), which may hold locks.

        Between two statements PostgreSQL does so itself (idle_in_transaction_session_timeout), but not during a COPY.
        Raises psycopg.Error.
        """
        self._open().execute(TERMINATE_FROZEN, [application or self._access.application, self._access.lock_timeout])

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> BoundedConnection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> BoundedConnection:
        connection = self._accept(BoundedConnection.connect(self._access.dsn, **self._access.parameters))
        connection.call_timeout = self._access.statement_timeout + GRACE_SECONDS
        connection.add_notify_handler(ignore_notify)
        if self._access.prepared_statements is None and _is_pooled(connection):
            connection.prepare_threshold = None
        return connection

    def _roll_back(self, connection: BoundedConnection) -> None:
        """Roll back, or close the connection if its state is unknown after a timeout or a network failure."""
        try:
            if connection.info.transaction_status in _ROLLBACK_POSSIBLE:
                connection.execute("ROLLBACK")
            else:
                self.close()
        except psycopg.Error:
            self.close()

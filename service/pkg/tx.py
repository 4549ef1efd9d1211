"""Transactions on one PostgreSQL connection, each with timeouts of its own and an end that can be relied on."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

GRACE: Final = 5.0
"""Seconds that a client waits beyond the server's own timeout: a stopped server never answers."""
_PREPARE_AFTER: Final = 5
"""Executions of a statement on a connection after which the server keeps it prepared."""

END_FROZEN: Final = """\
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND application_name = %s
  AND state = 'active' AND wait_event = 'ClientRead' AND query_start < now() - %s * interval '1 second'"""
"""An application's sessions, of our role, whose client has left a statement unfinished, which only COPY lets it do."""

BACKEND: Final = "SELECT pg_backend_pid()"
"""The server process that answers. A pooler told the client another number when it connected."""
UNPREPARED: Final = frozenset({"26000", "42P05"})
"""SQLSTATEs where a pooler has led a client to a server that prepared other statements than the client believes."""

_POLL: Final = 0.1
_SANE: Final = (TransactionStatus.IDLE, TransactionStatus.INTRANS, TransactionStatus.INERROR)
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
    """None finds out: on a direct connection, and not through a pooler."""

    @property
    def parameters(self) -> dict[str, Any]:
        """What a connection is opened with beside the DSN; a statement outside `begin` commits by itself."""
        return {
            "autocommit": True,
            "connect_timeout": max(1, round(self.connect_timeout)),
            "client_encoding": "utf8",
            "prepare_threshold": None if self.prepared_statements is False else _PREPARE_AFTER,
            "application_name": self.application,
        }

    @property
    def begin(self) -> str:
        """The statements that begin a transaction, for one round trip.

        SET LOCAL ends with it, so a pooler in transaction mode may stand between.

        The idle timeout frees the locks of a frozen process. Sequential scans are off because the planner chooses one
        on a table that was never analysed. READ COMMITTED, whatever the server's default, lets a statement that waited
        for a lock see what was committed meanwhile.
        """
        return (
            "BEGIN ISOLATION LEVEL READ COMMITTED; "
            f"SET LOCAL statement_timeout = {round(self.statement_timeout * 1000)}; "
            f"SET LOCAL lock_timeout = {round(self.lock_timeout * 1000)}; "
            f"SET LOCAL idle_in_transaction_session_timeout = {round(GRACE * 1000)}; SET LOCAL enable_seqscan = off"
        )


class BoundedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection on which no call blocks for longer than `deadline` seconds; psycopg.OperationalError then."""

    deadline: float = 30 + GRACE

    def wait(self, gen: PQGen[_Result], interval: float = _POLL, timeout: float | None = None) -> _Result:
        return super().wait(gen, interval, self.deadline if timeout is None else timeout)


def ignore(_: psycopg.Notify) -> None:
    """Take a notification on a connection that asked for none: without a handler psycopg keeps them all.

    They come where a pooler lends a server connection on which somebody else has listened.
    """


def _is_pooled(connection: BoundedConnection) -> bool:
    return connection.execute(BACKEND).fetchone() != (connection.info.backend_pid,)


class Transactions:
    """Opens its connection when it is first needed, and anew after a failure. For one thread at a time."""

    def __init__(
        self, access: Access, accept: Callable[[BoundedConnection], BoundedConnection] = lambda opened: opened
    ) -> None:
        """`accept` looks at each new connection, and raises where it is not to be used."""
        self._access = access
        self._accept = accept
        self._connection: BoundedConnection | None = None

    @contextlib.contextmanager
    def begin(self, first: str = "") -> Iterator[BoundedConnection]:
        """Commit at the end of the block, roll back if it raises. Raises psycopg.Error.

        `first` is a statement without parameters or result, such as one that takes a lock: it costs no round trip.
        A commit without an answer has an unknown outcome: the same work must be safe to do again.
        """
        connection = self._usable()
        try:
            connection.execute(f"{self._access.begin}; {first}")
            yield connection
            connection.execute("COMMIT")
        except BaseException as error:
            if isinstance(error, psycopg.Error) and error.sqlstate in UNPREPARED:
                self._access = replace(self._access, prepared_statements=False)
            self._roll_back(connection)
            raise

    def end_frozen(self, application: str | None = None) -> None:
        """End sessions of frozen processes, like this one if no other is named: they may hold what was waited for.

        Between two statements PostgreSQL does so by itself, in the midst of a COPY it waits without end.
        Raises psycopg.Error.
        """
        self._usable().execute(END_FROZEN, [application or self._access.application, self._access.lock_timeout])

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _usable(self) -> BoundedConnection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> BoundedConnection:
        connection = self._accept(BoundedConnection.connect(self._access.dsn, **self._access.parameters))
        connection.deadline = self._access.statement_timeout + GRACE
        connection.add_notify_handler(ignore)
        if self._access.prepared_statements is None and _is_pooled(connection):
            connection.prepare_threshold = None
        return connection

    def _roll_back(self, connection: BoundedConnection) -> None:
        """After a timeout or a cut the connection is in no known state: it is closed instead."""
        try:
            if connection.info.transaction_status in _SANE:
                connection.execute("ROLLBACK")
            else:
                self.close()
        except psycopg.Error:
            self.close()

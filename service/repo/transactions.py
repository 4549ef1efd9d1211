"""Transactions on one PostgreSQL connection, each with server-side and client-side timeouts."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final, Literal

import psycopg
from psycopg.errors import ProgramLimitExceeded
from psycopg.pq import TransactionStatus

from service.repo.connection import (
    BACKEND_PID,
    GRACE_SECONDS,
    NEVER_TIME_OUT_IDLE,
    PREPARED_STATEMENT_ERRORS,
    BoundedConnection,
    ConnectionSettings,
    ignore_notify,
    is_pooled,
)
from service.repo.notifications import FREE_QUEUE

TERMINATE_FROZEN: Final = """\
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND application_name = %s
  AND state = 'active' AND wait_event = 'ClientRead' AND query_start < now() - %s * interval '1 second'"""
"""Terminates this role's sessions of an application whose client stopped sending in the middle of a COPY."""

NO_TRANSACTION_TIMEOUT: Final = "SELECT set_config(name, '0', true) FROM pg_settings WHERE name = 'transaction_timeout'"
"""For changes of the schema: since PostgreSQL 17, operators can limit how long other transactions take."""

_WAIT_FOR_STANDBYS: Final = "SyncRepWaitForLSN"
"""PostgreSQL's function that waits for synchronous standbys: the source of its warning that the wait was canceled."""

TransactionEnd = Literal["COMMIT", "ROLLBACK"]

_ROLLBACK_POSSIBLE: Final = (TransactionStatus.IDLE, TransactionStatus.INTRANS, TransactionStatus.INERROR)


class _CommitNotReplicated(psycopg.OperationalError):
    """The commit is complete on the primary, but someone canceled the wait for its synchronous standbys."""

    sqlstate = "01000"


class Transactions:
    """Connects on first use, and again after a failure. Not thread-safe."""

    def __init__(
        self,
        settings: ConnectionSettings,
        accept: Callable[[BoundedConnection], BoundedConnection] = lambda opened: opened,
        end: TransactionEnd = "COMMIT",
    ) -> None:
        """`accept` checks each new connection, and raises to reject it. With ROLLBACK, every transaction is a trial."""
        self._settings = settings
        self._accept = accept
        self._end = end
        self._connection: BoundedConnection | None = None
        self._is_replicated = True
        """Whether the running transaction's commit has not been reported as missing on a synchronous standby."""

    @contextlib.contextmanager
    def begin(self, first: str = "") -> Iterator[BoundedConnection]:
        """Execute `end` at the end of the block; roll back if it raises. Raises psycopg.Error.

        `first` is a statement without parameters, such as one that takes a lock; it costs no extra round trip.
        If the connection fails during COMMIT, the outcome is unknown: the transaction must be safe to repeat.
        """
        connection = self._open()
        try:
            connection.execute(f"{self._settings.begin}; {first}")
            yield connection
            self._finish(connection)
        except BaseException as error:
            if isinstance(error, psycopg.Error) and error.sqlstate in PREPARED_STATEMENT_ERRORS:
                self._settings = replace(self._settings, prepared_statements=False)
            self._roll_back(connection)
            if isinstance(error, ProgramLimitExceeded):
                self._free_notification_queue()
            raise

    def terminate_frozen(self, application: str | None = None) -> None:
        """Terminate the sessions of frozen processes of `application` (default: this one), which may hold locks.

        Between two statements PostgreSQL does so itself (idle_in_transaction_session_timeout), but not during a COPY.
        Raises psycopg.Error.
        """
        self._open().execute(TERMINATE_FROZEN, [application or self._settings.application, self._settings.lock_timeout])

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _finish(self, connection: BoundedConnection) -> None:
        self._is_replicated = True
        connection.execute(self._end)
        if not self._is_replicated:
            raise _CommitNotReplicated

    def _on_notice(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        if diagnostic.source_function == _WAIT_FOR_STANDBYS:
            self._is_replicated = False

    def _open(self) -> BoundedConnection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> BoundedConnection:
        conninfo = self._settings.conninfo.resolve()
        connection = self._accept(BoundedConnection.connect(conninfo, **self._settings.parameters))
        connection.call_timeout = self._settings.statement_timeout + GRACE_SECONDS
        connection.add_notify_handler(ignore_notify)
        connection.add_notice_handler(self._on_notice)
        connection.execute(NEVER_TIME_OUT_IDLE, [str(connection.info.backend_pid)])
        if self._settings.prepared_statements is None:
            ((backend_pid,),) = connection.execute(BACKEND_PID).fetchall()
            if is_pooled(connection, backend_pid):
                connection.prepare_threshold = None
        return connection

    def _free_notification_queue(self) -> None:
        with contextlib.suppress(psycopg.Error):  # the next attempt reports it
            self._open().execute(FREE_QUEUE)

    def _roll_back(self, connection: BoundedConnection) -> None:
        """Roll back, or close the connection if its state is unknown after a timeout or a network failure."""
        try:
            if connection.info.transaction_status in _ROLLBACK_POSSIBLE:
                connection.execute("ROLLBACK")
            else:
                self.close()
        except psycopg.Error:
            self.close()

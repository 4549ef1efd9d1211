"""The connections of the API's reads.

No statement_timeout is set: it would need a transaction of three statements around each read, or a session setting,
which a pooler in transaction mode passes on to other clients. The client measures the time instead, and cancels.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, LiteralString, TypeVar

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from service.errors import ReadInterrupted, StorageUnavailable
from service.repo.connection import (
    NEVER_TIME_OUT_IDLE,
    PREPARED_STATEMENT_ERRORS,
    SERVER,
    UTF8,
    BoundedAsyncConnection,
    ConnectionSettings,
    ignore_notify,
    is_pooled,
    load_text_as_bytes,
    unsupported_encoding,
)
from service.repo.connection_errors import CONNECTION_FAILED
from service.repo.reader.statements import IDENTITY, SET_SESSION
from service.repo.scope import Identity
from service.repo.translate import PROBLEMS, translate
from service.usecases.ports.stats import PoolUsage

Row = tuple[Any, ...]
T = TypeVar("T")

POOL_TIMEOUT_SECONDS: Final = 2.0
"""How long a read waits for a connection of the pool."""
UNREACHABLE_POOL_TIMEOUT_SECONDS: Final = 0.5
"""How long it waits while PostgreSQL is unreachable: enough to establish a connection."""
CLOSE_TIMEOUT_SECONDS: Final = 0.5
"""How long closing waits for connections that are being established."""
QUERY_TIMED_OUT: Final = "the query timed out"
RETRYABLE: Final = PREPARED_STATEMENT_ERRORS | {"40001", "40P01"}
"""SQLSTATEs after which a read is retried: a pooler without prepared statements, or a standby that canceled the query
because of a recovery conflict."""


class ReadPool:
    """Implements usecases.ports.reads.ReadAvailability and ports.stats.ReadConnections. Belongs to one event loop."""

    def __init__(self, settings: ConnectionSettings, connections: int) -> None:
        self._settings = settings
        self._attempts = connections + 1
        self._pool = AsyncConnectionPool(
            settings.conninfo.resolve_async,
            kwargs=settings.parameters,
            connection_class=BoundedAsyncConnection,
            configure=self._configure,
            min_size=1,
            max_size=connections,
            reconnect_timeout=0,  # no backoff: the pool would sleep through a recovery
            open=False,
            name=settings.application,
        )
        self._uses_prepared_statements = settings.prepared_statements is not False
        self._borrowed = 0
        self.is_reachable = False

    async def open(self) -> None:
        """Start connecting, without waiting for a connection."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        await self._pool.close(CLOSE_TIMEOUT_SECONDS)

    def mark_unreachable(self) -> None:
        """Record that the database cannot be read, until a read succeeds."""
        self.is_reachable = False

    async def replace_connections(self) -> None:
        """Close idle connections now and busy ones after their read, because they may be half-open."""
        await self._pool.drain()

    @property
    def usage(self) -> PoolUsage:
        stats = self._pool.get_stats()
        return PoolUsage(
            max_size=self._pool.max_size,
            size=stats.get("pool_size", 0),
            available=stats.get("pool_available", 0),
            waiting=stats.get("requests_waiting", 0),
        )

    async def identity(self) -> Identity:
        """Return what identifies the tables that are read. Raises StorageUnavailable and CommandFailed."""
        [(channel, database, is_standby, encoding)] = await self.fetch(IDENTITY, [])
        if encoding.decode() != UTF8:
            raise unsupported_encoding(encoding.decode())
        if channel is None:
            raise StorageUnavailable(PROBLEMS["42"])
        return Identity(channel.decode(), database.decode(), is_standby)

    async def fetch(self, statement: LiteralString, values: Sequence[Any] | Mapping[str, Any]) -> list[Row]:
        async def fetch(connection: BoundedAsyncConnection) -> list[Row]:
            return await (await connection.cursor(binary=True).execute(statement, values)).fetchall()

        return await self.retrying(fetch)

    async def retrying(self, read: Callable[[BoundedAsyncConnection], Awaitable[T]]) -> T:
        """Retry on another connection if one is dead: a restart of PostgreSQL leaves a pool full of them."""
        attempts = self._attempts
        while True:
            attempts -= 1
            try:
                async with self.connection() as connection:
                    return await read(connection)
            except ReadInterrupted:
                if not attempts:
                    raise

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[BoundedAsyncConnection]:
        """Borrow a connection from the pool. Raises StorageUnavailable or a subclass."""
        timeout = POOL_TIMEOUT_SECONDS if self.is_reachable else UNREACHABLE_POOL_TIMEOUT_SECONDS
        try:
            connection = await self._pool.getconn(timeout)
        except PoolTimeout as error:
            # The reads that have the connections find out whether PostgreSQL is reachable: each of them times out.
            self.is_reachable = self.is_reachable and bool(self._borrowed)
            raise StorageUnavailable(f"timed out after {timeout:g} s waiting for a connection to PostgreSQL") from error
        except psycopg.Error as error:
            self.is_reachable = False
            raise _unavailable(error) from error
        self._borrowed += 1
        try:
            if not self._uses_prepared_statements:
                connection.prepare_threshold = None
            yield connection
            self.is_reachable = True
        except psycopg.Error as error:
            raise await self._translate(connection, error) from error
        finally:
            self._borrowed -= 1
            await self._pool.putconn(connection)

    async def _translate(self, connection: BoundedAsyncConnection, error: psycopg.Error) -> StorageUnavailable:
        if connection.has_timed_out:
            self.is_reachable = False
            await connection.abandon()
            return StorageUnavailable(QUERY_TIMED_OUT)
        if error.sqlstate in PREPARED_STATEMENT_ERRORS:
            self._uses_prepared_statements = False
        if error.sqlstate in RETRYABLE:
            return ReadInterrupted(translate(error).problem, sqlstate=error.sqlstate or "")
        if connection.closed:
            return ReadInterrupted(CONNECTION_FAILED)
        return _unavailable(error)

    async def _configure(self, connection: BoundedAsyncConnection) -> None:
        connection.call_timeout = self._settings.statement_timeout
        load_text_as_bytes(connection)
        connection.add_notify_handler(ignore_notify)
        [(backend_pid, is_standby)] = await (await connection.execute(SERVER)).fetchall()
        through_pooler = is_pooled(connection, backend_pid)
        connection.may_be_standby = is_standby or through_pooler  # a pooler may switch servers
        if through_pooler and self._settings.prepared_statements is None:
            connection.prepare_threshold = None
        await connection.execute(NEVER_TIME_OUT_IDLE, [str(connection.info.backend_pid)])
        if not through_pooler:
            await connection.execute(SET_SESSION)


def _unavailable(error: psycopg.Error) -> StorageUnavailable:
    """Return the error of a read, which cannot be halved or split like a batch of writes."""
    failure = translate(error)
    if isinstance(failure, StorageUnavailable):
        return failure
    return StorageUnavailable(failure.problem, sqlstate=failure.sqlstate)

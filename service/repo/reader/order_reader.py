"""The API's reads. PostgreSQL assembles the JSON, and the API passes it on unparsed.

No statement_timeout is set: it would need a transaction of three statements around each read, or a session setting,
which a pooler in transaction mode passes on to other clients. The client measures the time instead, and cancels.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, LiteralString, NamedTuple, TypeVar, cast

import psycopg
from psycopg import AsyncClientCursor
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from service.errors import (
    OrdersTooLarge,
    ReadInterrupted,
    StatementTimedOut,
    StorageError,
    StorageUnavailable,
)
from service.repo.connection import (
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
from service.repo.reader.statements import (
    DOCUMENTS_OF,
    ERASED_AT,
    ESTIMATE,
    HISTORY,
    IDENTITY,
    REPLAY_LSN,
    SET_PLANNER,
    SUMMARIES_OF,
    document_values,
    erased_at_values,
    history_values,
    newest_statement,
    page_statement,
    page_values,
    with_lsn_statement,
)
from service.repo.reader.versions import history_of
from service.repo.scope import Identity
from service.repo.translate import PROBLEMS, translate
from service.usecases.ports.reads import OrderCount, OrderHistory, Page, PageCursor, PageQuery, ReadResult, Snapshot

Pool = AsyncConnectionPool[BoundedAsyncConnection]
Row = tuple[Any, ...]
T = TypeVar("T")

POOL_TIMEOUT_SECONDS: Final = 2.0
"""How long a read waits for a connection of the pool."""
UNREACHABLE_POOL_TIMEOUT_SECONDS: Final = 0.5
"""How long it waits while PostgreSQL is unreachable: enough to establish a connection."""
CLOSE_TIMEOUT_SECONDS: Final = 0.5
"""How long closing waits for connections that are being established."""
MAX_STREAMED_ROWS: Final = 16
"""Rows of a stream that arrive at once: few, because a document may have 1 MiB, but many compared with the cost of an
await."""
QUERY_TIMED_OUT: Final = "the query timed out"
RETRYABLE: Final = PREPARED_STATEMENT_ERRORS | {"40001", "40P01"}
"""SQLSTATEs after which a read is retried: a pooler without prepared statements, or a standby that canceled the query
because of a recovery conflict."""


class PoolUsage(NamedTuple):
    max_size: int
    size: int
    """Connections of the pool, including those that are being established."""
    available: int
    """Connections that a read can have at once."""
    waiting: int
    """Reads that wait for a connection."""


class PostgresOrderReader:
    """Implements usecases.ports.reads.OrderReader. Belongs to one event loop."""

    def __init__(self, settings: ConnectionSettings, connections: int) -> None:
        self._settings = settings
        self._attempts = connections + 1
        self._pool = Pool(
            settings.dsn,
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
    def pool(self) -> PoolUsage:
        stats = self._pool.get_stats()
        return PoolUsage(
            max_size=self._pool.max_size,
            size=stats.get("pool_size", 0),
            available=stats.get("pool_available", 0),
            waiting=stats.get("requests_waiting", 0),
        )

    async def identity(self) -> Identity:
        """Return what identifies the tables that are read. Raises StorageUnavailable and CommandFailed."""
        [(channel, database, is_standby, encoding)] = await self._fetch(IDENTITY, [])
        if encoding.decode() != UTF8:
            raise unsupported_encoding(encoding.decode())
        if channel is None:
            raise StorageUnavailable(PROBLEMS["42"])
        return Identity(channel.decode(), database.decode(), is_standby)

    async def documents(self, uids: Sequence[str]) -> dict[str, ReadResult]:
        return await self._by_uid(DOCUMENTS_OF, uids)

    async def summaries(self, uids: Sequence[str]) -> dict[str, ReadResult]:
        return await self._by_uid(SUMMARIES_OF, uids)

    async def documents_within(self, uids: Sequence[str], max_bytes: int) -> dict[str, ReadResult]:
        return _read_results(uids, *await self._retrying(partial(_documents_within, uids, max_bytes)))

    @asynccontextmanager
    async def newest(self, count: int) -> AsyncIterator[Snapshot]:
        async with self._connection() as connection, _streamed(connection, newest_statement(count)) as (lsn, rows):
            yield Snapshot(((uid.decode(), document) async for uid, document in rows), lsn)

    async def page(self, query: PageQuery) -> Page:
        rows = await self._fetch(page_statement(query), page_values(query))
        has_more = len(rows) > query.limit
        page = rows[: query.limit]
        return Page(
            [summary for summary, *_ in page], PageCursor(page[-1][1], page[-1][2].decode()) if has_more else None
        )

    async def history(self, uid: str) -> OrderHistory | None:
        return history_of(await self._fetch(HISTORY, history_values(uid)))

    async def erased_at(self, uid: str) -> datetime | None:
        found = await self._fetch(ERASED_AT, erased_at_values(uid))
        return found[0][0].astimezone(UTC) if found else None

    async def estimate(self) -> OrderCount:
        return OrderCount(*(await self._fetch(ESTIMATE, []))[0])

    async def _by_uid(self, statement: LiteralString, uids: Sequence[str]) -> dict[str, ReadResult]:
        return _read_results(uids, *await self._retrying(partial(_rows_by_uid, statement, uids)))

    async def _fetch(self, statement: LiteralString, values: Sequence[Any] | Mapping[str, Any]) -> list[Row]:
        async def fetch(connection: BoundedAsyncConnection) -> list[Row]:
            return await (await connection.cursor(binary=True).execute(statement, values)).fetchall()

        return await self._retrying(fetch)

    async def _retrying(self, read: Callable[[BoundedAsyncConnection], Awaitable[T]]) -> T:
        """Retry on another connection if one is dead: a restart of PostgreSQL leaves a pool full of them."""
        attempts = self._attempts
        while True:
            attempts -= 1
            try:
                async with self._connection() as connection:
                    return await read(connection)
            except ReadInterrupted:
                if not attempts:
                    raise

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[BoundedAsyncConnection]:
        """Borrow a connection from the pool. Raises StorageUnavailable or a subclass."""
        timeout = POOL_TIMEOUT_SECONDS if self.is_reachable else UNREACHABLE_POOL_TIMEOUT_SECONDS
        try:
            connection = await self._pool.getconn(timeout)
        except PoolTimeout as error:
            self.is_reachable = False
            raise StorageUnavailable(f"timed out after {timeout:g} s waiting for a connection to PostgreSQL") from error
        except psycopg.Error as error:
            self.is_reachable = False
            raise translate(error) from error
        try:
            if not self._uses_prepared_statements:
                connection.prepare_threshold = None
            yield connection
            self.is_reachable = True
        except psycopg.Error as error:
            raise await self._translate(connection, error) from error
        finally:
            await self._pool.putconn(connection)

    async def _translate(self, connection: BoundedAsyncConnection, error: psycopg.Error) -> StorageError:
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
        failure = translate(error)
        if isinstance(failure, StatementTimedOut):  # a read cannot be halved
            return StorageUnavailable(failure.problem, sqlstate=failure.sqlstate)
        return failure

    async def _configure(self, connection: BoundedAsyncConnection) -> None:
        connection.call_timeout = self._settings.statement_timeout
        load_text_as_bytes(connection)
        connection.add_notify_handler(ignore_notify)
        [(backend_pid, is_standby)] = await (await connection.execute(SERVER)).fetchall()
        through_pooler = is_pooled(connection, backend_pid)
        connection.may_be_behind = is_standby or through_pooler  # a pooler may switch servers
        if through_pooler and self._settings.prepared_statements is None:
            connection.prepare_threshold = None
        if not through_pooler:
            await connection.execute(SET_PLANNER)


def _read_results(uids: Sequence[str], replay_lsn: int | None, rows: Sequence[Row]) -> dict[str, ReadResult]:
    found = {uid.decode(): ReadResult(document, replay_lsn) for uid, document in rows}
    return dict.fromkeys(uids, ReadResult(None, replay_lsn)) | found


async def _rows_by_uid(
    statement: LiteralString, uids: Sequence[str], connection: BoundedAsyncConnection
) -> tuple[int | None, list[Row]]:
    """Return the standby's replay LSN (None from a primary) and the rows."""
    values = document_values(uids)
    if not connection.may_be_behind:
        return None, await (await connection.cursor(binary=True).execute(statement, values)).fetchall()
    cursor = AsyncClientCursor(connection)
    await cursor.execute(with_lsn_statement(statement), values)
    cursor.nextset()
    [(replay_lsn,)] = await cursor.fetchall()
    cursor.nextset()
    return replay_lsn, await cursor.fetchall()


async def _documents_within(
    uids: Sequence[str], max_bytes: int, connection: BoundedAsyncConnection
) -> tuple[int | None, list[Row]]:
    """Return what `_rows_by_uid` does. Raises OrdersTooLarge, and StorageUnavailable after the timeout of one call."""
    found, size = list[Row](), 0
    try:
        async with (
            asyncio.timeout(connection.call_timeout),
            _streamed(connection, DOCUMENTS_OF, document_values(uids)) as (replay_lsn, rows),
        ):
            async for row in rows:
                size += len(row[1])
                if size > max_bytes:
                    break
                found.append(row)
    except TimeoutError:
        raise StorageUnavailable(QUERY_TIMED_OUT) from None
    if size > max_bytes:
        raise OrdersTooLarge
    return replay_lsn, found


@asynccontextmanager
async def _streamed(
    connection: BoundedAsyncConnection, statement: LiteralString, values: Mapping[str, Any] | None = None
) -> AsyncIterator[tuple[int | None, AsyncIterator[Row]]]:
    """Run a query in a transaction; yield the standby's replay LSN (None from a primary) and the rows as they arrive.

    The block may end before the last row.
    """
    await connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY")
    [(replay_lsn,)] = await (await connection.execute(REPLAY_LSN)).fetchall()
    rows = connection.cursor().stream(statement, values, binary=True, size=MAX_STREAMED_ROWS)
    async with aclosing(cast("AsyncGenerator[Row, None]", rows)):  # otherwise the query runs on after a break
        yield replay_lsn, rows
    await connection.execute("COMMIT")

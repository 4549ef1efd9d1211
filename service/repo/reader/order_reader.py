"""The API's reads. PostgreSQL assembles the JSON, and the API passes it on unparsed.

No statement_timeout is set: it would need a transaction of three statements around each read, or a session setting,
which a pooler in transaction mode passes on to other clients. The client measures the time instead, and cancels.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, LiteralString, TypeVar, cast

import psycopg
from psycopg import AsyncClientCursor
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from service.errors import StatementTimedOut, StorageError, StorageUnavailable, UnsupportedEncoding
from service.repo.connection import (
    PREPARED_STATEMENT_ERRORS,
    SERVER,
    UTF8,
    BoundedAsyncConnection,
    ConnectionSettings,
    ignore_notify,
    load_text_as_bytes,
)
from service.repo.connection_errors import CONNECTION_FAILED
from service.repo.document import (
    BY_ORDER_UID,
    CREATED_US,
    DATE_CREATED,
    DOCUMENT,
    FROM_ORDERS,
    JOIN_CHILDREN,
    JOIN_PAYMENTS,
    STORED_AT,
    columns,
    created_at,
    json_object,
)
from service.repo.scope import CHANNEL, DATABASE, Identity
from service.repo.shards import shard_of
from service.repo.translate import PROBLEMS, translate
from service.usecases.ports import OrderCount, Page, PageCursor, PageQuery, ReadResult

Pool = AsyncConnectionPool[BoundedAsyncConnection]
Row = tuple[Any, ...]
T = TypeVar("T")

POOL_TIMEOUT_SECONDS: Final = 2.0
"""How long a read waits for a connection of the pool."""
UNREACHABLE_POOL_TIMEOUT_SECONDS: Final = 0.5
"""The same while PostgreSQL is unreachable: enough to establish a connection."""
MAX_EXACT_COUNT: Final = 10_000
"""Orders up to which the estimate is an exact count."""

REPLAY_LSN: Final = "SELECT CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0')::bigint END"
"""A snapshot taken after this statement sees every commit up to this LSN. NULL on a primary."""
DOCUMENTS_OF: Final = f"SELECT o.order_uid::text, {DOCUMENT} {FROM_ORDERS} {BY_ORDER_UID}"
"""Uses the unique index of `order_uid` and the primary keys of the others."""
DOCUMENTS_WITH_LSN: Final = f"BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; {REPLAY_LSN}; {DOCUMENTS_OF}; COMMIT"
"""The same from a possible standby, in one round trip. The transaction pins a pooler to one server."""

_NEWEST_FIRST: Final = "ORDER BY o.date_created DESC, o.order_uid DESC"

IDENTITY: Final = f"SELECT {CHANNEL}, {DATABASE}, pg_is_in_recovery(), current_setting('server_encoding')"
PLANNER_SETTINGS: Final = "SET enable_seqscan = off; SET jit = off"
"""The planner prefers sequential scans of tables that were never analyzed. A pooler passes a session's settings on to
other clients, so behind a pooler the role must have these settings (roles.sql)."""
MIN_UIDS: Final = 16
"""Shorter lists of uids are padded. For fewer uids, PostgreSQL would estimate that a custom plan costs less than a
generic one, and plan each read again, which takes four times as long as the read."""
MAX_STREAMED_ROWS: Final = 16
"""Rows that the warm-up receives at once: few, because a document may have 1 MiB, but many compared with the cost of an
await."""
RETRYABLE: Final = PREPARED_STATEMENT_ERRORS | {"40001", "40P01"}
"""SQLSTATEs after which a read is retried: a pooler without prepared statements, or a standby that canceled the query
because of a recovery conflict."""

SUMMARY: Final = json_object(
    [
        *columns("o", "order_uid", "track_number"),
        ("date_created", DATE_CREATED),
        ("stored_at", STORED_AT),
        *columns("o", "delivery_service"),
        *columns("p", "amount", "currency"),
        ("items", "(SELECT count(*) FROM items i WHERE i.order_id = o.id AND i.shard = o.shard)"),
    ]
)
"""The summary of an order in lists, without personal data."""

FILTERS: Final[dict[str, LiteralString]] = {
    "customer_id": "o.customer_id = %(customer_id)s",
    "track_number": "o.track_number = %(track_number)s",
    "after": "(o.date_created, o.order_uid) < (%(created)s, %(order_uid)s)",
}
"""By field of PageQuery. They use orders_newest_idx, orders_customer_idx and orders_track_idx."""

ESTIMATE: Final = f"""\
SELECT CASE WHEN sample.counted < {MAX_EXACT_COUNT} THEN sample.counted
            ELSE greatest(sample.counted, estimated.counted) END,
       sample.counted >= {MAX_EXACT_COUNT} AS is_estimate
FROM (SELECT count(*) AS counted FROM (SELECT 1 FROM orders LIMIT {MAX_EXACT_COUNT}) o) sample,
     (SELECT sum(CASE WHEN reltuples > 0 AND relpages > 0
                      THEN reltuples / relpages * (pg_relation_size(oid) / current_setting('block_size')::int)
                      ELSE pg_stat_get_live_tuples(oid) END)::bigint AS counted
        FROM pg_class
       WHERE relkind = 'r'
         AND (oid = 'orders'::regclass OR oid IN (SELECT relid FROM pg_partition_tree('orders')))) estimated"""
"""Exact below MAX_EXACT_COUNT. Above, estimated like the planner does: rows per page at the last ANALYZE, times the
current number of pages; before the first ANALYZE, the live rows of the statistics. Partitions are summed."""


class PostgresOrderReader:
    """Implements usecases.ports.OrderReader. For one event loop."""

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
        """Start to connect; does not wait for a connection."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        await self._pool.close()

    def mark_unreachable(self) -> None:
        """Record that the database cannot be read, until a read succeeds."""
        self.is_reachable = False

    async def replace_connections(self) -> None:
        """Close the idle connections, and the others after their read: they may be half-open."""
        await self._pool.drain()

    @property
    def waiting(self) -> int:
        """The number of reads that wait for a connection."""
        return self._pool.get_stats().get("requests_waiting", 0)

    async def identity(self) -> Identity:
        """Return what identifies the tables that are read. Raises StorageUnavailable and UnsupportedEncoding."""
        [(channel, database, is_standby, encoding)] = await self._fetch(IDENTITY, [])
        if encoding.decode() != UTF8:
            raise UnsupportedEncoding(encoding.decode())
        if channel is None:
            raise StorageUnavailable(PROBLEMS["42"])
        return Identity(channel.decode(), database.decode(), is_standby)

    async def documents(self, uids: Sequence[str]) -> dict[str, ReadResult]:
        replay_lsn, rows = await self._retrying(partial(_documents, uids))
        return dict.fromkeys(uids, ReadResult(None, replay_lsn)) | {
            uid.decode(): ReadResult(found, replay_lsn) for uid, found in rows
        }

    async def newest(self, count: int) -> AsyncGenerator[tuple[str, ReadResult], None]:
        async with self._connection() as connection:
            await connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY")
            [(replay_lsn,)] = await (await connection.execute(REPLAY_LSN)).fetchall()
            if replay_lsn is not None:
                yield "", ReadResult(None, replay_lsn)
            rows = connection.cursor().stream(newest_statement(count), binary=True, size=MAX_STREAMED_ROWS)
            async with aclosing(cast("AsyncGenerator[Row, None]", rows)):  # otherwise the query runs on after a break
                async for uid, document in rows:
                    yield uid.decode(), ReadResult(document, replay_lsn)
            await connection.execute("COMMIT")

    async def page(self, query: PageQuery) -> Page:
        rows = await self._fetch(page_statement(query), page_values(query))
        has_more = len(rows) > query.limit
        page = rows[: query.limit]
        return Page(
            [summary for summary, *_ in page], PageCursor(page[-1][1], page[-1][2].decode()) if has_more else None
        )

    async def estimate(self) -> OrderCount:
        return OrderCount(*(await self._fetch(ESTIMATE, []))[0])

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
            except _RetryableError:
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
            return StorageUnavailable("the query timed out")
        if error.sqlstate in PREPARED_STATEMENT_ERRORS:
            self._uses_prepared_statements = False
        if error.sqlstate in RETRYABLE:
            return _RetryableError(translate(error).problem, sqlstate=error.sqlstate or "")
        if connection.closed:
            return _RetryableError(CONNECTION_FAILED)
        failure = translate(error)
        if isinstance(failure, StatementTimedOut):  # a read cannot be halved
            return StorageUnavailable(failure.problem, sqlstate=failure.sqlstate)
        return failure

    async def _configure(self, connection: BoundedAsyncConnection) -> None:
        connection.call_timeout = self._settings.statement_timeout
        load_text_as_bytes(connection)
        connection.add_notify_handler(ignore_notify)
        [(backend_pid, is_standby)] = await (await connection.execute(SERVER)).fetchall()
        is_pooled = backend_pid != connection.info.backend_pid
        connection.may_be_behind = is_standby or is_pooled  # a pooler may switch servers
        if is_pooled and self._settings.prepared_statements is None:
            connection.prepare_threshold = None
        if not is_pooled:
            await connection.execute(PLANNER_SETTINGS)


class _RetryableError(StorageUnavailable):
    """The connection was lost, or the error is one that a retry resolves."""


async def _documents(uids: Sequence[str], connection: BoundedAsyncConnection) -> tuple[int | None, list[Row]]:
    """Return the standby's replay LSN (None from a primary) and the rows."""
    values = document_values(uids)
    if not connection.may_be_behind:
        return None, await (await connection.cursor(binary=True).execute(DOCUMENTS_OF, values)).fetchall()
    cursor = AsyncClientCursor(connection)
    await cursor.execute(DOCUMENTS_WITH_LSN, values)
    cursor.nextset()
    [(replay_lsn,)] = await cursor.fetchall()
    cursor.nextset()
    return replay_lsn, await cursor.fetchall()


def newest_statement(count: int) -> str:
    """Return the statement for the newest orders, newest first.

    It uses orders_newest_idx, and chooses the orders first, so that it sorts no documents.
    """
    return f"""\
SELECT o.order_uid::text, {DOCUMENT}
FROM (SELECT * FROM orders o {_NEWEST_FIRST} LIMIT {int(count)}) o {JOIN_CHILDREN}
{_NEWEST_FIRST}"""


def document_values(uids: Sequence[str]) -> dict[str, Any]:
    """Return the values of DOCUMENTS_OF."""
    padded = [*uids, *list(uids[:1]) * (MIN_UIDS - len(uids))]
    return {"order_uids": padded, "shards": [shard_of(uid) for uid in padded]}


def page_statement(query: PageQuery) -> LiteralString:
    """Return the statement with the filters of the query. It reads one order more than the page has."""
    conditions = [condition for name, condition in FILTERS.items() if getattr(query, name) is not None]
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"""\
SELECT {SUMMARY}, {CREATED_US}, o.order_uid::text
FROM orders o {JOIN_PAYMENTS} {where}
{_NEWEST_FIRST} LIMIT %(more)s"""


def page_values(query: PageQuery) -> dict[str, Any]:
    values: dict[str, Any] = query._asdict() | {"more": query.limit + 1}
    if query.after:
        values |= {"created": _timestamp(query.after.created_us), "order_uid": query.after.order_uid}
    return values


def _timestamp(microseconds: int) -> datetime:
    """Return the time, limited to the range of datetime."""
    try:
        return created_at(microseconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if microseconds > 0 else datetime.min.replace(tzinfo=UTC)

"""The API's reads: statements whose JSON PostgreSQL assembles and which nobody parses on the way.

No statement timeout is set: that would take a transaction of three statements around each read, or a setting of the
session, which a pooler in transaction mode hands on to others. The client keeps the time instead, and cancels.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, LiteralString, NamedTuple, TypeVar

import psycopg
from psycopg import AsyncClientCursor
from psycopg_pool import AsyncConnectionPool

from service.entities.errors import DatabaseUnfit, StatementTimedOut, StorageError, StorageUnavailable
from service.pkg.batch_loader import BatchLoader
from service.pkg.tx import UNPREPARED, Access, ignore
from service.repo.connection import UTF8, BoundedAsyncConnection, hand_text_over_as_bytes
from service.repo.connection_errors import CONNECTION_FAILED
from service.repo.document import DATE_CREATED, DOCUMENT, FROM_ORDERS, STORED_AT
from service.repo.scope import CHANNEL
from service.repo.translate import PROBLEMS, translate
from service.usecases.ports import Cursor, OrderCount, Page, PageQuery, Read

Pool = AsyncConnectionPool[BoundedAsyncConnection]
Row = tuple[Any, ...]
T = TypeVar("T")

CONNECTION_WAIT_SECONDS: Final = 2.0
"""How long a read waits for a connection of the pool."""
AWAY_WAIT_SECONDS: Final = 0.5
"""The same while the last attempt found nobody: time enough to connect, and no more."""
FEW: Final = 10_000

AS_OF: Final = "SELECT CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0')::bigint END"
"""What a snapshot taken after this statement has seen at least. None where a primary answers."""
DOCUMENTS_OF: Final = f"SELECT o.order_uid::text, {DOCUMENT} {FROM_ORDERS} WHERE o.order_uid = ANY(%s)"
"""Served by the four primary keys."""
DOCUMENTS_AS_OF: Final = f"BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; {AS_OF}; {DOCUMENTS_OF}; COMMIT"
"""The same from where a standby may answer: one round trip, and one server, whatever a pooler does."""
LOADS_AT_ONCE: Final = 2
"""Queries: PostgreSQL works on one while this process handles the other; ids asked for meanwhile share the next."""
LOADED_AT_ONCE: Final = 16
"""Ids of one query. Few: a document may have a mebibyte."""

NEWEST: Final = f"""\
COPY (SELECT o.order_uid::text, {DOCUMENT} {FROM_ORDERS} ORDER BY o.date_created DESC, o.order_uid DESC LIMIT {{count}})
TO STDOUT (FORMAT binary)"""
"""Served by orders_newest_idx. Binary, for COPY's text format doubles backslashes."""

WHERE_FROM: Final = "SELECT pg_backend_pid(), pg_is_in_recovery()"
DATABASE: Final = "(SELECT current_database() || ' of ' || system_identifier FROM pg_control_system())"
"""The same on a primary and its standbys, and nowhere else."""
TABLES: Final = f"SELECT {CHANNEL}, {DATABASE}, current_setting('server_encoding')"
AGAIN: Final = UNPREPARED | {"40001", "40P01"}
"""SQLSTATEs after which the same read is tried once more: a pooler that keeps no prepared statements, and a standby
that has cancelled it for what it replays."""

_CREATED_US: Final = "(extract(epoch FROM o.date_created) * 1000000)::bigint"
SUMMARY: Final = f"""\
SELECT row_to_json(x) FROM (SELECT
    o.order_uid, o.track_number, {DATE_CREATED} AS date_created, {STORED_AT} AS stored_at, o.delivery_service,
    p.amount, p.currency,
    (SELECT count(*) FROM items i WHERE i.order_uid = o.order_uid) AS items) x"""
"""What a list tells of an order: nothing personal."""

FILTERS: Final[dict[str, LiteralString]] = {
    "customer_id": "o.customer_id = %(customer_id)s",
    "track_number": "o.track_number = %(track_number)s",
    "after": "(o.date_created, o.order_uid) < (%(created)s, %(order_uid)s)",
}
"""Each by its field of PageQuery; served by orders_newest_idx, orders_customer_idx and orders_track_idx."""

ESTIMATE: Final = f"""\
SELECT CASE WHEN few.counted < {FEW} THEN few.counted ELSE greatest(few.counted, known.counted) END,
       few.counted >= {FEW} AS is_estimate
FROM (SELECT count(*) AS counted FROM (SELECT FROM orders LIMIT {FEW}) o) few,
     (SELECT sum(CASE WHEN reltuples > 0 AND relpages > 0
                      THEN reltuples / relpages * (pg_relation_size(oid) / current_setting('block_size')::int)
                      ELSE pg_stat_get_live_tuples(oid) END)::bigint AS counted
        FROM pg_class
       WHERE relkind = 'r'
         AND (oid = 'orders'::regclass OR oid IN (SELECT relid FROM pg_partition_tree('orders')))) known"""
"""Exact below FEW. Above, as the planner does it: orders of a page at the last ANALYZE, times the pages that there are
now; before the first ANALYZE, the live rows of PostgreSQL's statistics. Partitions are added up."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Tables(NamedTuple):
    """Where the orders are that are read: the channel that tells of them, and the database."""

    channel: str
    database: str


class OrderReads:
    """Implements usecases.ports.OrderReader. For one event loop."""

    def __init__(self, access: Access, connections: int) -> None:
        self._access = access
        self._attempts = connections + 1
        self._pool = Pool(
            access.dsn,
            kwargs=access.parameters,
            connection_class=BoundedAsyncConnection,
            configure=self._configure,
            min_size=1,
            max_size=connections,
            reconnect_timeout=0,  # an attempt that failed is over: with back-off the pool sleeps through a recovery
            open=False,
            name=access.application,
        )
        self._documents = BatchLoader(self._load, at_once=LOADS_AT_ONCE, most=LOADED_AT_ONCE)
        self._prepares = access.prepared_statements is not False
        self.is_reachable = False

    async def open(self) -> None:
        """Begin to connect, and wait for nothing."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        await self._pool.close()

    async def replace_connections(self) -> None:
        """Close those of the pool, or let them be closed after their read: they may be half-open."""
        await self._pool.drain()

    @property
    def waiting(self) -> int:
        """How many reads wait for a connection."""
        return self._pool.get_stats().get("requests_waiting", 0)

    async def tables(self) -> Tables:
        """Tell which tables are read. Raises StorageUnavailable, and DatabaseUnfit."""
        [(channel, database, encoding)] = await self._fetch(TABLES, [])
        if encoding.decode() != UTF8:
            raise DatabaseUnfit(encoding.decode())
        if channel is None:
            raise StorageUnavailable(PROBLEMS["42"])
        return Tables(channel.decode(), database.decode())

    async def document(self, uid: str) -> Read:
        return await self._documents.get(uid) or Read(None)

    async def _load(self, uids: Sequence[str]) -> dict[str, Read]:
        replay_lsn, rows = await self._attempted(partial(_documents, uids))
        return dict.fromkeys(uids, Read(None, replay_lsn)) | {
            uid.decode(): Read(found, replay_lsn) for uid, found in rows
        }

    async def newest(self, count: int) -> AsyncGenerator[tuple[str, Read], None]:
        async with self._connection() as connection:
            await connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY")
            [(replay_lsn,)] = await (await connection.execute(AS_OF)).fetchall()
            if replay_lsn is not None:
                yield "", Read(None, replay_lsn)
            async with connection.cursor().copy(NEWEST.format(count=int(count))) as copy:
                async for uid, document in copy.rows():
                    yield uid.decode(), Read(document, replay_lsn)
            await connection.execute("COMMIT")

    async def page(self, query: PageQuery) -> Page:
        rows = await self._fetch(page_statement(query), page_values(query))
        has_more = len(rows) > query.limit
        kept = rows[: query.limit]
        return Page([summary for summary, *_ in kept], Cursor(kept[-1][1], kept[-1][2].decode()) if has_more else None)

    async def estimate(self) -> OrderCount:
        return OrderCount(*(await self._fetch(ESTIMATE, []))[0])

    async def _fetch(self, statement: LiteralString, values: Sequence[Any] | Mapping[str, Any]) -> list[Row]:
        async def fetch(connection: BoundedAsyncConnection) -> list[Row]:
            return await (await connection.cursor(binary=True).execute(statement, values)).fetchall()

        return await self._attempted(fetch)

    async def _attempted(self, read: Callable[[BoundedAsyncConnection], Awaitable[T]]) -> T:
        """Try another connection when one is found dead: a restart of PostgreSQL leaves a pool full of them."""
        attempts = self._attempts
        while True:
            attempts -= 1
            try:
                async with self._connection() as connection:
                    return await read(connection)
            except _TryAgain:
                if not attempts:
                    raise

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[BoundedAsyncConnection]:
        """Lend a connection. Raises StorageUnavailable or one of its kinds."""
        try:
            wait = CONNECTION_WAIT_SECONDS if self.is_reachable else AWAY_WAIT_SECONDS
            connection = await self._pool.getconn(wait)
        except psycopg.Error as error:
            self.is_reachable = False
            raise translate(error) from error
        try:
            if not self._prepares:
                connection.prepare_threshold = None
            yield connection
            self.is_reachable = True
        except psycopg.Error as error:
            raise await self._verdict(connection, error) from error
        finally:
            await self._pool.putconn(connection)

    async def _verdict(self, connection: BoundedAsyncConnection, error: psycopg.Error) -> StorageError:
        if connection.is_overdue:
            self.is_reachable = False
            await connection.abandon()
            return StatementTimedOut("a read took too long")
        if error.sqlstate in UNPREPARED:
            self._prepares = False
        if error.sqlstate in AGAIN:
            return _TryAgain(translate(error).problem, sqlstate=error.sqlstate or "")
        return _TryAgain(CONNECTION_FAILED) if connection.closed else translate(error)

    async def _configure(self, connection: BoundedAsyncConnection) -> None:
        connection.deadline = self._access.statement_timeout
        hand_text_over_as_bytes(connection)
        connection.add_notify_handler(ignore)
        [(backend, is_standby)] = await (await connection.execute(WHERE_FROM)).fetchall()
        is_pooled = backend != connection.info.backend_pid
        connection.may_be_behind = is_standby or is_pooled  # which server a pooler leads to can change
        if is_pooled and self._access.prepared_statements is None:
            connection.prepare_threshold = None


class _TryAgain(StorageUnavailable):
    """The connection was dead, or died while it was used; or what it met has passed when it is tried again."""


async def _documents(uids: Sequence[str], connection: BoundedAsyncConnection) -> tuple[int | None, list[Row]]:
    """Return the documents, and what they are as of."""
    if not connection.may_be_behind:
        return None, await (await connection.cursor(binary=True).execute(DOCUMENTS_OF, [[*uids]])).fetchall()
    cursor = AsyncClientCursor(connection)
    await cursor.execute(DOCUMENTS_AS_OF, [[*uids]])
    cursor.nextset()
    [(replay_lsn,)] = await cursor.fetchall()
    cursor.nextset()
    return replay_lsn, await cursor.fetchall()


def page_statement(query: PageQuery) -> LiteralString:
    """Return the statement with the filters that are asked for; it reads one order more than the page holds."""
    conditions = [condition for name, condition in FILTERS.items() if getattr(query, name) is not None]
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"""\
SELECT ({SUMMARY})::text, {_CREATED_US}, o.order_uid::text
FROM orders o JOIN payments p USING (order_uid) {where}
ORDER BY o.date_created DESC, o.order_uid DESC LIMIT %(more)s"""


def page_values(query: PageQuery) -> dict[str, Any]:
    values: dict[str, Any] = query._asdict() | {"more": query.limit + 1}
    if query.after:
        values |= {"created": _moment(query.after.created_us), "order_uid": query.after.order_uid}
    return values


def _moment(microseconds: int) -> datetime:
    """Return the point in time, or the first or last one that there is."""
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if microseconds > 0 else datetime.min.replace(tzinfo=UTC)

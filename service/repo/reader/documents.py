"""Reads documents and summaries of orders, with the position in the WAL up to which the server had replayed it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, LiteralString, cast

from psycopg import AsyncClientCursor

from service.errors import OrdersTooLarge, StorageUnavailable
from service.repo.connection import BoundedAsyncConnection
from service.repo.reader.pool import QUERY_TIMED_OUT, Row
from service.repo.reader.statements import (
    DOCUMENTS_OF,
    REPLAY_LSN,
    document_values,
    newest_statement,
    with_lsn_statement,
)
from service.usecases.ports.reads import ReadResult, Snapshot

MAX_STREAMED_ROWS: Final = 16
"""Rows of a stream that arrive at once: few, because a document may have 1 MiB, but many compared with the cost of an
await."""


async def results_by_uid(
    statement: LiteralString, uids: Sequence[str], connection: BoundedAsyncConnection
) -> dict[str, ReadResult]:
    """Return the results of DOCUMENTS_OF or SUMMARIES_OF."""
    values = document_values(uids)
    if not connection.may_be_standby:
        rows = await (await connection.cursor(binary=True).execute(statement, values)).fetchall()
        return _results(uids, None, rows)
    cursor = AsyncClientCursor(connection)
    await cursor.execute(with_lsn_statement(statement), values)
    cursor.nextset()
    [(replay_lsn,)] = await cursor.fetchall()
    cursor.nextset()
    return _results(uids, replay_lsn, await cursor.fetchall())


async def documents_within(
    uids: Sequence[str], max_bytes: int, connection: BoundedAsyncConnection
) -> dict[str, ReadResult]:
    """Return the results of DOCUMENTS_OF.

    Raises OrdersTooLarge, and StorageUnavailable after the timeout of one call.
    """
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
    return _results(uids, replay_lsn, found)


@asynccontextmanager
async def newest_documents(count: int, connection: BoundedAsyncConnection) -> AsyncIterator[Snapshot]:
    async with _streamed(connection, newest_statement(count)) as (replay_lsn, rows):
        yield Snapshot(((uid.decode(), document) async for uid, document in rows), replay_lsn)


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


def _results(uids: Sequence[str], replay_lsn: int | None, rows: Sequence[Row]) -> dict[str, ReadResult]:
    found = {uid.decode(): ReadResult(document, replay_lsn) for uid, document in rows}
    return dict.fromkeys(uids, ReadResult(None, replay_lsn)) | found

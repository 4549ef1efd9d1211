"""The API's reads. PostgreSQL assembles the JSON, and the API passes it on unparsed."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

from service.repo.reader.documents import documents_within, newest_documents, results_by_uid
from service.repo.reader.pool import ReadPool
from service.repo.reader.statements import (
    DOCUMENTS_OF,
    ERASED_AT,
    ESTIMATE,
    HISTORY,
    SUMMARIES_OF,
    erased_at_values,
    history_values,
    page_statement,
    page_values,
)
from service.repo.reader.versions import history_of
from service.usecases.ports.reads import OrderCount, OrderHistory, Page, PageCursor, PageQuery, ReadResult, Snapshot


class PostgresOrderReader:
    """Implements usecases.ports.reads.OrderReader. Belongs to one event loop."""

    def __init__(self, pool: ReadPool) -> None:
        self._pool = pool

    async def documents(self, uids: Sequence[str]) -> dict[str, ReadResult]:
        return await self._pool.retrying(partial(results_by_uid, DOCUMENTS_OF, uids))

    async def summaries(self, uids: Sequence[str]) -> dict[str, ReadResult]:
        return await self._pool.retrying(partial(results_by_uid, SUMMARIES_OF, uids))

    async def documents_within(self, uids: Sequence[str], max_bytes: int) -> dict[str, ReadResult]:
        return await self._pool.retrying(partial(documents_within, uids, max_bytes))

    @asynccontextmanager
    async def newest(self, count: int) -> AsyncIterator[Snapshot]:
        async with self._pool.connection() as connection, newest_documents(count, connection) as snapshot:
            yield snapshot

    async def page(self, query: PageQuery) -> Page:
        rows = await self._pool.fetch(page_statement(query), page_values(query))
        has_more = len(rows) > query.limit
        page = rows[: query.limit]
        return Page(
            [summary for summary, *_ in page], PageCursor(page[-1][1], page[-1][2].decode()) if has_more else None
        )

    async def history(self, uid: str) -> OrderHistory | None:
        return history_of(await self._pool.fetch(HISTORY, history_values(uid)))

    async def erased_at(self, uid: str) -> datetime | None:
        found = await self._pool.fetch(ERASED_AT, erased_at_values(uid))
        return found[0][0].astimezone(UTC) if found else None

    async def estimate(self) -> OrderCount:
        return OrderCount(*(await self._pool.fetch(ESTIMATE, []))[0])

"""Finds an order by its uid: in the cache, else in the database. Concurrent misses share queries.

A request that arrives after a notification never joins a query that started before it.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from service.errors import StorageUnavailable
from service.pkg.batch_loader import BatchLoader
from service.pkg.etag import split_etag
from service.usecases.cached_orders import CachedOrders, QueriedOrder, queried_orders
from service.usecases.ports.reads import OrderReader

MAX_CONCURRENT_QUERIES: Final = 2
"""The database executes one while this process handles the result of the other."""
MAX_UIDS_PER_QUERY: Final = 16
"""Few, because a document may have 1 MiB."""


class LookupResult(NamedTuple):
    """A document, its ETag (a hexadecimal hash of the body), and whether it is a cache hit or was queried."""

    body: bytes | memoryview
    tag: str
    is_hit: bool


class Lookup:
    """Belongs to one event loop."""

    def __init__(self, reader: OrderReader, cached: CachedOrders) -> None:
        self._reader = reader
        self._cached = cached
        self._queries = BatchLoader(
            self._query, cached.add, max_concurrent=MAX_CONCURRENT_QUERIES, max_keys=MAX_UIDS_PER_QUERY
        )
        cached.attach(self._queries)

    async def find(self, uid: str) -> LookupResult | None:
        """Return the order, or None if there is none. Raises StorageUnavailable on a miss without a database."""
        if (value := self._cached.get(uid)) is not None:
            return _result(value, is_hit=True)
        if self._cached.is_absent(uid):
            return None
        try:
            queried = await self._queries.get(uid)
        except StorageUnavailable:
            value = self._cached.get_without_database(uid)
            if value is None:
                self._cached.count_misses(1)
                raise
            self._cached.count_hits(1)
            return _result(value, is_hit=True)
        self._cached.count_misses(1)
        return None if queried.value is None else _result(queried.value, is_hit=False)

    async def _query(self, uids: Sequence[str]) -> dict[str, QueriedOrder]:
        return queried_orders(await self._reader.documents(uids))


def _result(value: bytes, *, is_hit: bool) -> LookupResult:
    etag, body = split_etag(value)
    return LookupResult(body, etag.decode(), is_hit)

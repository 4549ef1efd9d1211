"""Finds many orders by their uids: in the cache, and all others with one query."""

import asyncio
from collections.abc import Sequence
from typing import Final

from service.errors import OrdersTooLarge, StorageUnavailable
from service.pkg.acquire import acquired_within
from service.pkg.etag import ETAG_BYTES, split_etag
from service.usecases.cached_orders import CachedOrders, QueriedOrder, queried_orders
from service.usecases.ports.reads import OrderReader

MAX_CONCURRENT_QUERIES: Final = 2
"""Each may hold all bytes of a response in memory."""
QUEUE_TIMEOUT_SECONDS: Final = 2.0
"""How long a query waits for others."""


class BulkLookup:
    """Belongs to one event loop."""

    def __init__(self, reader: OrderReader, cached: CachedOrders) -> None:
        self._reader = reader
        self._cached = cached
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_QUERIES)

    async def find(self, uids: Sequence[str], max_bytes: int) -> dict[str, bytes | memoryview]:
        """Return the documents of the orders that exist, in the order of the uids, which must be distinct.

        Raises OrdersTooLarge if the documents together are larger than `max_bytes`, and StorageUnavailable on a miss
        without a database.
        """
        known = {uid: value for uid in uids if (value := self._cached.get(uid)) is not None}
        unused = max_bytes - sum(len(value) - ETAG_BYTES for value in known.values())
        if unused < 0:
            raise OrdersTooLarge
        missed = [uid for uid in uids if uid not in known and not self._cached.is_absent(uid)]
        if missed:
            known |= await self._find_missed(missed, unused)
        return {uid: split_etag(known[uid])[1] for uid in uids if uid in known}

    async def _find_missed(self, uids: Sequence[str], max_bytes: int) -> dict[str, bytes]:
        """Return the documents of the orders that exist, with their ETags in front."""
        try:
            queried = await self._query(uids, max_bytes)
        except StorageUnavailable:
            cached = {uid: value for uid in uids if (value := self._cached.get_without_database(uid)) is not None}
            if len(cached) < len(uids):
                self._cached.count_misses(len(uids))
                raise
            self._cached.count_hits(len(uids))
            return cached
        self._cached.count_misses(len(uids))
        return {uid: each.value for uid, each in queried.items() if each.value is not None}

    async def _query(self, uids: Sequence[str], max_bytes: int) -> dict[str, QueriedOrder]:
        timeout = StorageUnavailable("timed out waiting for other lookups of many orders")
        async with acquired_within(QUEUE_TIMEOUT_SECONDS, self._slots, timeout):
            with self._cached.running_read() as read:
                queried = queried_orders(await self._reader.documents_within(uids, max_bytes))
                for uid, each in queried.items():
                    if read.is_current(uid):
                        self._cached.add(uid, each)
        return queried

"""Finds an order by its uid: in the cache, else in the database. Concurrent misses share queries.

These rules keep old versions out of the cache:
- A query caches its result (an order, or that there is none) only if the uid was not notified, and the cache was not
  invalidated, after the query started. A standby's result is cached only if it had replayed all earlier notifications.
- A request that arrives after a notification never joins a query that started before it.
- The warm-up, and a query of many orders, skip uids that were notified after their snapshot was taken.
- When notifications may have been missed, the whole cache is invalidated.
- While the listener is disconnected, nothing is cached, and cached orders are served only if the database cannot be
  read.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum, auto
from time import monotonic
from typing import Final, NamedTuple

from service.errors import OrdersTooLarge, StorageUnavailable
from service.pkg.acquire import acquired_within
from service.pkg.batch_loader import BatchLoader
from service.pkg.etag import ETAG_BYTES, split_etag, with_etag
from service.pkg.lru import Lru
from service.pkg.ttl_set import TTLSet
from service.usecases.minimum_lsn import MinimumLsn
from service.usecases.ports.reads import OrderReader, ReadResult

MAX_CONCURRENT_QUERIES: Final = 2
"""The database executes one while this process handles the result of the other."""
MAX_UIDS_PER_QUERY: Final = 16
"""Few, because a document may have 1 MiB."""
MAX_CONCURRENT_BULK_QUERIES: Final = 2
"""Queries of `find_many`, each of which may hold all bytes of a response in memory."""
BULK_QUEUE_TIMEOUT_SECONDS: Final = 2.0
"""How long `find_many` waits for other queries of this kind."""


class LookupResult(NamedTuple):
    """A document, its ETag (a hexadecimal hash of the body), and whether it is a cache hit or was queried."""

    body: bytes | memoryview
    tag: str
    is_hit: bool


class QueriedOrder(NamedTuple):
    """The result of a query of one uid."""

    value: bytes | None
    """The document with its ETag in front; None if there is no such order."""
    replay_lsn: int | None
    """The `replay_lsn` of `ports.ReadResult`."""


class CacheUse(Enum):
    """How the cache is used. Without notifications, it may contain outdated orders."""

    FULL = auto()
    """Notifications arrive: cached orders are served, and results of queries are cached."""
    SERVE_ONLY = auto()
    """Notifications do not arrive, and the database cannot be read: only cached orders can be served."""
    BYPASSED = auto()
    """Notifications do not arrive, but the database can be read: every order is queried."""


_BYPASSED: Final = CacheUse.BYPASSED
"""A constant for the hot path, because Python 3.11 looks up enum members slowly."""


class Lookup:
    """Belongs to one event loop."""

    def __init__(
        self,
        reader: OrderReader,
        cache: Lru,
        unknown: TTLSet,
        *,
        max_stale: float | None = None,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._reader = reader
        self._cache = cache
        self._unknown = unknown
        self._max_stale = max_stale
        self._now = now
        self._queries = BatchLoader(
            self._query, self._cache_result, max_concurrent=MAX_CONCURRENT_QUERIES, max_keys=MAX_UIDS_PER_QUERY
        )
        self._minimum_lsn = MinimumLsn()
        self._generation = 0
        self._use = CacheUse.FULL
        self._verified_at = now()
        self._bulk_slots = asyncio.Semaphore(MAX_CONCURRENT_BULK_QUERIES)
        self._recordings: list[set[str]] = []
        """The uids notified since each running warm-up or query of many orders started."""
        self.hits = 0
        self.misses = 0

    async def find(self, uid: str) -> LookupResult | None:
        """Return the order, or None if there is none. Raises StorageUnavailable on a miss without a database."""
        if (cached := self.cached(uid)) is not None:
            return _found(cached, is_hit=True)
        if self._is_known_to_be_absent(uid):
            return None
        self.misses += 1
        try:
            value = (await self._queries.get(uid)).value
        except StorageUnavailable:
            cached = self._cached_without_database(uid)
            if cached is None:
                raise
            return _found(cached, is_hit=True)
        return None if value is None else _found(value, is_hit=False)

    async def find_many(self, uids: Sequence[str], max_bytes: int) -> dict[str, bytes | memoryview]:
        """Return the documents of those of these distinct orders that exist, in this order.

        All misses are one query. Raises OrdersTooLarge if the documents together are larger than `max_bytes`, and
        StorageUnavailable as `find`.
        """
        known = {uid: value for uid in uids if (value := self.cached(uid)) is not None}
        unused = max_bytes - sum(len(value) - ETAG_BYTES for value in known.values())
        if unused < 0:
            raise OrdersTooLarge
        missed = [uid for uid in uids if uid not in known and not self._is_known_to_be_absent(uid)]
        if missed:
            self.misses += len(missed)
            known |= await self._query_many(missed, unused)
        return {uid: split_etag(known[uid])[1] for uid in uids if uid in known}

    def cached(self, uid: str) -> bytes | None:
        """Return the cached bytes with their ETag in front, counted as a hit; None on a miss."""
        cached = self._cache.get(uid) if self._is_cache_usable() else None
        if cached is not None:
            self.hits += 1
        return cached

    def invalidate(self, uids: Iterable[str]) -> None:
        """Drop these orders from the cache: a notification says that they are new or changed."""
        for uid in uids:
            self._cache.discard(uid)
            self._unknown.discard(uid)
            self._minimum_lsn.add(uid)
            self._queries.detach(uid)
            for recording in self._recordings:
                recording.add(uid)

    def invalidate_all(self, lsn: int = 0) -> None:
        """Drop everything and cache again: notifications may have been missed, and arrive from now on.

        Every missed commit lies before this LSN of the primary.
        """
        self._clear()
        self._minimum_lsn.reset(lsn)
        self._use = CacheUse.FULL

    def advance(self, lsn: int) -> None:
        """Record that every notification received until now was committed before this LSN of the primary."""
        self._minimum_lsn.advance(lsn)

    def has_replayed(self, uid: str, replay_lsn: int | None) -> bool:
        """Return whether a server at this WAL position (None: the primary) has all notified changes of an order."""
        return self._minimum_lsn.allows(uid, replay_lsn)

    def suspend_caching(self, *, can_read: bool) -> None:
        """Cache nothing until `invalidate_all`, and serve cached orders only if the database cannot be read.

        The second consecutive call with `can_read` clears the cache. One is not enough: it may be the last answer of a
        server that is shutting down, and then cached orders are all that can be served.
        """
        if can_read and self._use is CacheUse.BYPASSED:
            self._clear()
        self._use = CacheUse.BYPASSED if can_read else CacheUse.SERVE_ONLY

    def mark_verified(self, at: float) -> None:
        """Record that notifications arrived as of this time of the clock."""
        self._verified_at = at

    async def warm(self, count: int) -> int | None:
        """Load the newest orders until the cache is full; return how many.

        Returns None if the cache was invalidated meanwhile. Raises StorageUnavailable.
        """
        generation, loaded = self._generation, 0
        with self._recording() as notified:
            async with self._reader.newest(count) as (orders, replay_lsn):
                self._require_replayed(replay_lsn)
                async for uid, document in orders:
                    if generation != self._generation:
                        return None
                    self._require_replayed(replay_lsn)
                    if document is None or uid in notified or not self.has_replayed(uid, replay_lsn):
                        continue
                    if not self._cache.fill(uid, with_etag(document)):
                        break
                    loaded += 1
        return loaded

    def _require_replayed(self, replay_lsn: int | None) -> None:
        if self._minimum_lsn.is_behind(replay_lsn):
            raise StorageUnavailable("the standby lags behind: it has not replayed the WAL up to the last invalidation")

    @contextmanager
    def _recording(self) -> Iterator[set[str]]:
        """Yield a set to which every uid is added that is notified until the block ends."""
        notified = set[str]()
        self._recordings.append(notified)
        try:
            yield notified
        finally:
            self._recordings = [each for each in self._recordings if each is not notified]

    def _is_known_to_be_absent(self, uid: str) -> bool:
        return self._is_cache_usable() and uid in self._unknown

    def _cached_without_database(self, uid: str) -> bytes | None:
        """Return the best answer after a query failed: a cached order, unless it is older than max_stale.

        While notifications are lost, the cache was bypassed before the query.
        """
        return self._cache.get(uid) if self._is_fresh() else None

    def _is_cache_usable(self) -> bool:
        return self._use is not _BYPASSED and self._is_fresh()

    def _is_fresh(self) -> bool:
        return self._max_stale is None or self._now() - self._verified_at <= self._max_stale

    def _clear(self) -> None:
        self._generation += 1
        self._cache.clear()
        self._unknown.clear()
        self._queries.detach_all()

    async def _query(self, uids: Sequence[str]) -> dict[str, QueriedOrder]:
        return _queried(await self._reader.documents(uids))

    async def _query_many(self, uids: Sequence[str], max_bytes: int) -> dict[str, bytes]:
        """Return those of these orders that exist, with their ETags in front."""
        try:
            queried = await self._query_and_cache(uids, max_bytes)
        except StorageUnavailable:
            cached = {uid: value for uid in uids if (value := self._cached_without_database(uid)) is not None}
            if len(cached) < len(uids):
                raise
            return cached
        return {uid: each.value for uid, each in queried.items() if each.value is not None}

    async def _query_and_cache(self, uids: Sequence[str], max_bytes: int) -> dict[str, QueriedOrder]:
        timeout = StorageUnavailable("timed out waiting for other lookups of many orders")
        async with acquired_within(BULK_QUEUE_TIMEOUT_SECONDS, self._bulk_slots, timeout):
            generation = self._generation
            with self._recording() as notified:
                queried = _queried(await self._reader.documents_within(uids, max_bytes))
                for uid, each in queried.items():
                    if generation == self._generation and uid not in notified:
                        self._cache_result(uid, each)
        return queried

    def _cache_result(self, uid: str, queried: QueriedOrder) -> None:
        """Cache the result of a query: an order, or that it does not exist. Not called if it was notified meanwhile."""
        if self._use is not CacheUse.FULL or not self.has_replayed(uid, queried.replay_lsn):
            return
        if queried.value is None:
            self._unknown.add(uid)
        else:
            self._cache.put(uid, queried.value)


def _queried(reads: Mapping[str, ReadResult]) -> dict[str, QueriedOrder]:
    return {
        uid: QueriedOrder(None if read.document is None else with_etag(read.document), read.replay_lsn)
        for uid, read in reads.items()
    }


def _found(value: bytes, *, is_hit: bool) -> LookupResult:
    etag, body = split_etag(value)
    return LookupResult(body, etag.decode(), is_hit)

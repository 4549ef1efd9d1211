"""Fills the cache with the newest orders."""

from service.errors import StorageUnavailable
from service.pkg.etag import with_etag
from service.usecases.cached_orders import CachedOrders
from service.usecases.ports.reads import OrderReader


async def load_newest(reader: OrderReader, cached: CachedOrders, count: int) -> int | None:
    """Load this many orders, or until the cache is full; return how many.

    Skips orders that were notified after the snapshot was taken. Returns None if the cache was invalidated, or
    caching was suspended, meanwhile. Raises StorageUnavailable.
    """
    loaded = 0
    with cached.running_read() as read:
        async with reader.newest(count) as (orders, replay_lsn):
            if cached.minimum_lsn.is_behind(replay_lsn):
                raise StorageUnavailable(
                    "the standby lags behind: it has not replayed the WAL up to the last invalidation"
                )
            async for uid, document in orders:
                if read.is_detached:
                    return None
                if document is None or not read.is_current(uid) or not cached.minimum_lsn.allows(uid, replay_lsn):
                    continue
                if not cached.fill(uid, with_etag(document)):
                    break
                loaded += 1
    return loaded

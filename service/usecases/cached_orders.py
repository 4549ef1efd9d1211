"""The cached orders, and which uids have no order.

These rules keep old versions out of the cache:
- A read adds its result (an order, or that there is none) only if the uid was not notified, and the cache was not
  invalidated, after the read started. A standby's result is added only if it had replayed all earlier notifications.
- When notifications may have been missed, the whole cache is invalidated.
- While the listener is disconnected, nothing is cached, and cached orders are served only if the database cannot be
  read.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum, auto
from typing import Final, NamedTuple

from service.pkg.batch_loader import BatchLoader
from service.pkg.etag import with_etag
from service.pkg.lru import Lru
from service.pkg.ttl_set import TTLSet
from service.usecases.minimum_lsn import MinimumLsn
from service.usecases.ports.reads import ReadResult
from service.usecases.staleness import Staleness


class QueriedOrder(NamedTuple):
    """The result of a query of one uid."""

    value: bytes | None
    """The document with its ETag in front; None if there is no such order."""
    replay_lsn: int | None
    """See ReadResult."""


def queried_orders(reads: Mapping[str, ReadResult]) -> dict[str, QueriedOrder]:
    return {
        uid: QueriedOrder(None if read.document is None else with_etag(read.document), read.replay_lsn)
        for uid, read in reads.items()
    }


class RunningRead:
    """A read of many orders, whose results are outdated if their orders are invalidated before it ends.

    If caching is suspended, all results are outdated: later notifications do not arrive.
    """

    def __init__(self) -> None:
        self._detached: set[str] = set()
        self.is_detached = False
        """All orders were invalidated, or caching was suspended."""

    def detach(self, uid: str) -> None:
        self._detached.add(uid)

    def detach_all(self) -> None:
        self.is_detached = True

    def is_current(self, uid: str) -> bool:
        """Return whether the order was not invalidated since the read started."""
        return not self.is_detached and uid not in self._detached


RunningReads = RunningRead | BatchLoader[str, QueriedOrder]


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


class CachedOrders:
    """Bypassed until `invalidate_all`. Belongs to one event loop. A value is a document with its ETag in front."""

    def __init__(self, values: Lru, absent: TTLSet, staleness: Staleness) -> None:
        self._values = values
        self._absent = absent
        self._use = CacheUse.BYPASSED
        self._running: list[RunningReads] = []
        self.staleness = staleness
        self.minimum_lsn = MinimumLsn()
        self.hits = 0
        self._misses = 0

    def get(self, uid: str) -> bytes | None:
        """Return the value, counted as a hit; None on a miss."""
        value = self._values.get(uid) if self._is_usable() else None
        if value is not None:
            self.hits += 1
        return value

    @property
    def misses(self) -> int:
        """The orders that had to be queried."""
        return self._misses

    def count_misses(self, orders: int) -> None:
        """Count orders that were neither cached nor known to be absent, whether or not their query succeeded."""
        self._misses += orders

    def count_hits(self, orders: int) -> None:
        """Count orders that are served from the cache because their query failed."""
        self.hits += orders

    def get_without_database(self, uid: str) -> bytes | None:
        """Return the best answer after a query failed: a value, unless it is older than the limit of staleness.

        While notifications are lost, the cache was bypassed before the query.
        """
        return self._values.get(uid) if self.staleness.is_within_limit() else None

    def is_absent(self, uid: str) -> bool:
        """Return whether it is known that there is no such order."""
        return self._is_usable() and uid in self._absent

    def add(self, uid: str, queried: QueriedOrder) -> None:
        """Cache an order, or that it does not exist. Only for reads during which it was not invalidated."""
        if self._use is not CacheUse.FULL or not self.minimum_lsn.allows(uid, queried.replay_lsn):
            return
        if queried.value is None:
            self._absent.add(uid)
        else:
            self._values.put(uid, queried.value)

    def fill(self, uid: str, value: bytes) -> bool:
        """Cache an order that is not cached yet, and evict none for it. Return False if there is no room."""
        return self._values.fill(uid, value)

    def attach(self, reads: RunningReads) -> None:
        """Detach these reads whenever their orders are invalidated."""
        self._running.append(reads)

    @contextmanager
    def running_read(self) -> Iterator[RunningRead]:
        """Attach a read until the block ends."""
        read = RunningRead()
        self._running.append(read)
        try:
            yield read
        finally:
            self._running.remove(read)

    def invalidate(self, uids: Iterable[str]) -> None:
        """Drop these orders: a notification says that they are new or changed."""
        for uid in uids:
            self._values.discard(uid)
            self._absent.discard(uid)
            self.minimum_lsn.add(uid)
            for reads in self._running:
                reads.detach(uid)

    def invalidate_all(self, lsn: int) -> None:
        """Drop everything and cache again: notifications may have been missed, and arrive from now on.

        Every missed commit lies before this LSN of the primary.
        """
        self._clear()
        self.minimum_lsn.reset(lsn)
        self._use = CacheUse.FULL

    def suspend(self, *, can_read: bool) -> None:
        """Cache nothing until `invalidate_all`, and serve cached orders only if the database cannot be read.

        The second consecutive call with `can_read` clears the cache. One is not enough: it may be the last answer of a
        server that is shutting down, and then cached orders are all that can be served.
        """
        if can_read and self._use is CacheUse.BYPASSED:
            self._clear()
        self._detach_running_reads()
        self._use = CacheUse.BYPASSED if can_read else CacheUse.SERVE_ONLY

    def _is_usable(self) -> bool:
        return self._use is not _BYPASSED and self.staleness.is_within_limit()

    def _clear(self) -> None:
        self._values.clear()
        self._absent.clear()
        self._detach_running_reads()

    def _detach_running_reads(self) -> None:
        for reads in self._running:
            reads.detach_all()

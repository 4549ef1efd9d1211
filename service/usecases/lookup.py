"""An order by its id: from memory, else from the database, once for all who ask at the same time.

What keeps old versions out of the cache:
- A load caches its result, an order or that there is none, only if no notification for the id came, and no generation
  began, since before its query started; one from a standby only if that had seen what was notified before.
- A request that comes after a notification never joins a load that began before it.
- The warm-up does not fill in ids that were notified since before its snapshot was taken.
- A generation begins when notifications may have been missed: everything older is a miss.
- While notifications don't arrive nothing is cached, and nothing is served from memory if the database can be asked.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import aclosing
from time import monotonic
from typing import NamedTuple

from service.entities.errors import StorageUnavailable
from service.pkg.etag import body_of, etag_of, with_etag
from service.pkg.lru import Lru
from service.pkg.ttl_set import TTLSet
from service.usecases.floors import Floors
from service.usecases.ports import OrderReader


class CachedOrder(NamedTuple):
    """A document, the hash of its bytes in hexadecimal, and whether it came from memory."""

    body: bytes | memoryview
    tag: str
    is_hit: bool


class InFlightQuery:
    """A query that runs for all who ask for its id; `may_keep` turns false when its result may be old already."""

    query: "asyncio.Task[bytes | None]"

    def __init__(self) -> None:
        self.may_keep = True


class Lookup:
    """For one event loop."""

    def __init__(
        self,
        reader: OrderReader,
        cache: Lru,
        unknown: TTLSet,
        *,
        max_stale: float | None = None,
        now: Callable[[], float] = monotonic,
        on_hit: Callable[[], None] = lambda: None,
        on_miss: Callable[[], None] = lambda: None,
    ) -> None:
        self._reader = reader
        self._cache = cache
        self._unknown = unknown
        self._max_stale = max_stale
        self._now = now
        self._on_hit = on_hit
        self._on_miss = on_miss
        self._in_flight: dict[str, InFlightQuery] = {}
        self._floors = Floors()
        self._generation = 0
        self._hears = True
        self._serves = True
        self._heard_at = now()
        self._notified: set[str] | None = None
        self.hits = 0
        self.misses = 0

    async def find(self, uid: str) -> CachedOrder | None:
        """Return the order, or None if there is none. Raises StorageUnavailable where only the database knows."""
        if (cached := self.cached(uid)) is not None:
            return _found(cached, is_hit=True)
        if self._trusts_memory() and uid in self._unknown:
            return None
        self.misses += 1
        self._on_miss()
        loaded = await self._load(uid)
        return None if loaded is None else _found(loaded, is_hit=False)

    def cached(self, uid: str) -> bytes | None:
        """Return the order's bytes, tagged, where memory has them and may be trusted: a hit, and counted as one."""
        cached = self._cache.get(uid) if self._trusts_memory() else None
        if cached is not None:
            self.hits += 1
            self._on_hit()
        return cached

    def invalidate(self, uids: Iterable[str]) -> None:
        """Take a notification: these orders are new or changed."""
        for uid in uids:
            self._cache.discard(uid)
            self._unknown.discard(uid)
            self._floors.hear(uid)
            self._detach(uid)
            if self._notified is not None:
                self._notified.add(uid)

    def invalidate_all(self, position: int = 0) -> None:
        """Forget everything: notifications may have been missed until now, and will arrive from now on.

        What was missed was committed before this position in the log of the server that tells of it.
        """
        self._clear()
        self._floors.begin(position)
        self._hears = self._serves = True

    def reach(self, position: int) -> None:
        """Learn that all notifications that were taken until now tell of commits before this position."""
        self._floors.reach(position)

    def stop_hearing(self, *, can_read: bool) -> None:
        """Cache nothing until a generation begins. Where the database can be asked, nothing is served from memory.

        Told so twice in a row, forget everything. Once may be the last answer of a server that is going down, and what
        is held is then all there is.
        """
        if can_read and not self._serves:
            self._clear()
        self._hears, self._serves = False, not can_read

    def trust_since(self, moment: float) -> None:
        """Notifications are known to arrive, as of `moment` of the clock."""
        self._heard_at = moment

    async def warm(self, count: int) -> int | None:
        """Load the newest orders, as many as there is room for; return how many.

        None if a generation began meanwhile: what was loaded is gone. Raises StorageUnavailable.
        """
        generation, loaded = self._generation, 0
        notified = self._notified = set[str]()
        try:
            async with aclosing(self._reader.newest(count)) as orders:
                async for uid, read in orders:
                    if generation != self._generation:
                        return None
                    if self._floors.is_behind(read):
                        raise StorageUnavailable("the standby is behind: it has yet to replay what was stored before")
                    if read.document is None or uid in notified or not self._floors.allows(uid, read):
                        continue
                    if not self._cache.fill(uid, with_etag(read.document)):
                        break
                    loaded += 1
        finally:
            self._notified = None
        return loaded

    def _trusts_memory(self) -> bool:
        return self._serves and (self._max_stale is None or self._now() - self._heard_at <= self._max_stale)

    def _clear(self) -> None:
        self._generation += 1
        self._cache.clear()
        self._unknown.clear()
        for uid in [*self._in_flight]:
            self._detach(uid)

    async def _load(self, uid: str) -> bytes | None:
        in_flight = self._in_flight.get(uid)
        if in_flight is None:
            in_flight = self._in_flight[uid] = InFlightQuery()
            in_flight.query = asyncio.create_task(self._query(uid, in_flight))
            in_flight.query.add_done_callback(_look_at_error)
        return await asyncio.shield(in_flight.query)  # one who goes away must not end it for the others

    async def _query(self, uid: str, in_flight: InFlightQuery) -> bytes | None:
        try:
            read = await self._reader.document(uid)
        finally:
            if self._in_flight.get(uid) is in_flight:
                del self._in_flight[uid]
        value = None if read.document is None else with_etag(read.document)
        if in_flight.may_keep and self._hears and self._floors.allows(uid, read):
            self._keep(uid, value)
        return value

    def _keep(self, uid: str, value: bytes | None) -> None:
        if value is None:
            self._unknown.add(uid)
        else:
            self._cache.put(uid, value)

    def _detach(self, uid: str) -> None:
        """Let a running load end for those who wait for it, and for nobody else."""
        in_flight = self._in_flight.pop(uid, None)
        if in_flight:
            in_flight.may_keep = False


def _found(value: bytes, *, is_hit: bool) -> CachedOrder:
    return CachedOrder(body_of(value), etag_of(value).decode(), is_hit)


def _look_at_error(query: "asyncio.Task[bytes | None]") -> None:
    """Take the error where nobody is left to take it: it is no news for the event loop."""
    if not query.cancelled():
        query.exception()

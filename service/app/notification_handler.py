"""What the API does with notifications from PostgreSQL: invalidate the cache first, then publish events."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from service.handler.http.event_broadcaster import EventBroadcaster
from service.repo.listener import ListenerCallbacks
from service.repo.reads import PostgresOrderReader
from service.usecases.lookup import Lookup


class NotificationHandler:
    """Runs on the event loop; no method blocks."""

    def __init__(
        self,
        lookup: Lookup,
        reads: PostgresOrderReader,
        broadcaster: EventBroadcaster,
        on_invalidate_all: Callable[[], None],
    ) -> None:
        self._lookup = lookup
        self._reads = reads
        self._broadcaster = broadcaster
        self._on_invalidate_all = on_invalidate_all
        self._verified_at: datetime | None = None
        """Every notification sent before has been received."""
        self.listening = asyncio.Event()
        """Set while LISTEN is active."""

    def callbacks(self, on_repeated_timeouts: Callable[[], None]) -> ListenerCallbacks:
        return ListenerCallbacks(
            on_listen=self._on_listen,
            on_lsn=self._lookup.advance,
            on_verified=self._on_verified,
            on_notify=self._on_notify,
            on_disconnect=self._on_disconnect,
            on_repeated_timeouts=on_repeated_timeouts,
        )

    def _on_listen(self, lsn: int) -> None:
        self._lookup.invalidate_all(lsn)
        self._on_invalidate_all()
        self._broadcaster.reset(self._verified_at)
        self._broadcaster.rate.restart()
        self.listening.set()

    def _on_verified(self, at: float) -> None:
        self._lookup.mark_verified(at)
        self._verified_at = datetime.now(UTC)
        self._broadcaster.rate.observe()

    def _on_notify(self, new: list[str], changed: list[str]) -> None:
        self._lookup.invalidate(new)
        self._lookup.invalidate(changed)
        self._broadcaster.publish("stored", new)
        self._broadcaster.publish("replaced", changed)

    def _on_disconnect(self, can_read: bool) -> None:  # noqa: FBT001 - a callback with one argument
        self.listening.clear()
        self._broadcaster.rate.restart()
        self._reads.is_reachable &= can_read
        self._lookup.suspend_caching(can_read=can_read)

"""Propagates changes that the database reports: invalidates the cache first, then publishes events."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final

from service.pkg.rate import Rate
from service.usecases.cached_orders import CachedOrders
from service.usecases.ports.reads import EventPublisher, Notification, ReadAvailability

RATE_WINDOW_SECONDS: Final = 10.0


class ChangePropagation:
    """Its methods are the callbacks of a listener. Runs on the event loop; no method blocks."""

    def __init__(
        self,
        cached: CachedOrders,
        reader: ReadAvailability,
        publisher: EventPublisher,
        on_invalidate_all: Callable[[], None],
    ) -> None:
        self._cached = cached
        self._reader = reader
        self._publisher = publisher
        self._on_invalidate_all = on_invalidate_all
        self._verified_at: datetime | None = None
        """Every notification sent before this time has been received."""
        self.rate = Rate(RATE_WINDOW_SECONDS)
        """Changed orders per second. It restarts when notifications may have been missed."""
        self.listening = asyncio.Event()
        """Set while LISTEN is active."""

    def on_listen(self, lsn: int) -> None:
        self._cached.invalidate_all(lsn)
        self._on_invalidate_all()
        self._publisher.reset(self._verified_at)
        self.rate.restart()
        self.listening.set()

    def on_verified(self, at: float) -> None:
        self._cached.staleness.mark_verified(at)
        self._verified_at = datetime.now(UTC) - timedelta(seconds=monotonic() - at)
        self.rate.observe()

    def on_notify(self, notification: Notification) -> None:
        self._cached.invalidate(notification.new)
        self._cached.invalidate(notification.changed)
        self._publisher.publish(notification)
        self.rate.add(len(notification.new) + len(notification.changed))

    def on_disconnect(self, can_read: bool) -> None:  # noqa: FBT001 - a callback with one argument
        self.listening.clear()
        self.rate.restart()
        if not can_read:
            self._reader.mark_unreachable()
        self._cached.suspend(can_read=can_read)

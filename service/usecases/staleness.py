"""Limits for how long cached orders are served although no notification arrives."""

from collections.abc import Callable
from time import monotonic


class Staleness:
    """`max_stale`: seconds since the last proof that notifications arrive; None is no limit."""

    def __init__(self, max_stale: float | None = None, now: Callable[[], float] = monotonic) -> None:
        self._max_stale = max_stale
        self._now = now
        self._verified_at = now()

    def mark_verified(self, at: float) -> None:
        """Record that notifications arrived as of this time of the clock."""
        self._verified_at = at

    def is_within_limit(self) -> bool:
        return self._max_stale is None or self._now() - self._verified_at <= self._max_stale

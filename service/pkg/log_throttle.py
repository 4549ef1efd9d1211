"""Limits how often a repeated event is logged."""

from collections.abc import Callable
from time import monotonic
from typing import Final

LOG_INTERVAL_SECONDS: Final = 30.0
"""How often a repeated problem is logged."""


class LogThrottle:
    """Not thread-safe. Never forgets an event, so the number of distinct events must be bounded."""

    def __init__(self, seconds: float, now: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._now = now
        self._logged_at: dict[str, float] = {}

    def is_due(self, event: str) -> bool:
        """Return whether the event was not logged in the last `seconds`; if so, record it as logged now."""
        now = self._now()
        is_due = now - self._logged_at.get(event, -self._seconds) >= self._seconds
        if is_due:
            self._logged_at[event] = now
        return is_due

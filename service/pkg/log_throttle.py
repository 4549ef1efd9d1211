"""What is said again and again is said now and then."""

from collections.abc import Callable
from time import monotonic


class LogThrottle:
    """For one thread, and for a set of sentences that is bounded."""

    def __init__(self, seconds: float, now: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._now = now
        self._said: dict[str, float] = {}

    def is_due(self, sentence: str) -> bool:
        """Tell whether it was not said for that long, and take it for said now."""
        now = self._now()
        is_due = now - self._said.get(sentence, -self._seconds) >= self._seconds
        if is_due:
            self._said[sentence] = now
        return is_due

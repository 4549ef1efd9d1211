"""How fast something happens: what was counted between two observations, over the time between them."""

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple


class _Observation(NamedTuple):
    at: float
    counted: int


class Rate:
    """Counts, and looks at the counts when `observe` is called, which is to be often within `window_seconds`.

    Nothing is divided by a time that nobody measured: what comes at once after a standstill is spread over it.
    """

    def __init__(self, window_seconds: float, now: Callable[[], float] = monotonic) -> None:
        self._window = window_seconds
        self._now = now
        self._count = 0
        self._observations: deque[_Observation] = deque()

    def add(self, count: int) -> None:
        self._count += count

    def observe(self) -> None:
        """Note that all until now has been counted."""
        at = self._now()
        while len(self._observations) > 1 and self._observations[1].at <= at - self._window:
            self._observations.popleft()
        self._observations.append(_Observation(at, self._count))

    def restart(self) -> None:
        """Forget the observations: between the last and the next one something may go uncounted."""
        self._observations.clear()

    @property
    def per_second(self) -> float | None:
        """The mean between the newest observation and the one a window before it, or the oldest; None without two."""
        if not self._observations:
            return None
        first, last = self._observations[0], self._observations[-1]
        return (last.counted - first.counted) / (last.at - first.at) if last.at > first.at else None

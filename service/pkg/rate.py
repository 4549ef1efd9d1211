"""A rate per second over a sliding window."""

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple


class _Observation(NamedTuple):
    at: float
    total: int


class Rate:
    """Counts events; `observe` samples the count, and must be called several times per `window_seconds`.

    The rate is computed between samples, so a burst after a pause is spread over the pause.
    """

    def __init__(self, window_seconds: float, now: Callable[[], float] = monotonic) -> None:
        self._window_seconds = window_seconds
        self._now = now
        self._count = 0
        self._observations: deque[_Observation] = deque()

    def add(self, count: int) -> None:
        self._count += count

    def observe(self) -> None:
        """Sample the count."""
        at = self._now()
        while len(self._observations) > 1 and self._observations[1].at <= at - self._window_seconds:
            self._observations.popleft()
        self._observations.append(_Observation(at, self._count))

    def restart(self) -> None:
        """Drop the samples. Events before the next sample may not be counted."""
        self._observations.clear()

    @property
    def per_second(self) -> float | None:
        """The rate between the newest sample and the oldest one in the window; None with fewer than two samples."""
        if not self._observations:
            return None
        first, last = self._observations[0], self._observations[-1]
        return (last.total - first.total) / (last.at - first.at) if last.at > first.at else None

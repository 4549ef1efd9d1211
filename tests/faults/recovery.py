"""How long the consumers take to recover after a fault."""

from collections import deque
from time import monotonic

from tests.faults.table import Recovery

RATE_WINDOW_SECONDS = 0.5
"""Recovery is complete when commits reach the rate of the stream over this time."""


class RecoveryTimer:
    """Measures when commits resume after a fault, and when they reach the rate of the stream."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._began = monotonic()
        self._seen: deque[tuple[float, int]] = deque()
        self._first: float | None = None
        self._full: float | None = None

    @property
    def measured(self) -> Recovery:
        assert self._first is not None
        assert self._full is not None
        return Recovery(self._first, self._full)

    def observe(self, done: int, lag: int) -> None:
        now = monotonic() - self._began
        self._seen.append((now, done))
        while self._seen[0][0] < now - 2 * RATE_WINDOW_SECONDS:
            self._seen.popleft()
        then, before = self._seen[0]
        if self._first is None and (done > before or not lag):
            self._first = now
        is_fast = now - then >= RATE_WINDOW_SECONDS and done - before >= self._rate * (now - then)
        if self._full is None and (is_fast or not lag):
            self._full = now

"""A virtual clock, and calls at moments of it."""

import heapq
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Final

from tests.simulation.replacing import replaced
from tests.simulation.scheduler import START_SECONDS

PACKAGES: Final = ("service", "psycopg", "psycopg_binary", "psycopg_pool")


class Clock:
    current: None = None
    """No thread of the other simulation runs."""

    def __init__(self) -> None:
        self.now = START_SECONDS
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def monotonic(self) -> float:
        return self.now

    def call_at(self, when: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._calls, (max(when, self.now), next(self._numbers), call))

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        self.call_at(self.now + seconds, call)

    @property
    def next_call(self) -> float | None:
        """When the next call is due."""
        return self._calls[0][0] if self._calls else None

    def advance(self, until: float) -> None:
        """Let time pass, and make the calls that become due at their moments."""
        while self._calls and self._calls[0][0] <= until:
            when, _, call = heapq.heappop(self._calls)
            self.now = max(self.now, when)
            call()
        self.now = max(self.now, until)


@contextmanager
def virtual(clock: Clock) -> Iterator[None]:
    """Let the modules of the API and of its driver that are loaded read the time from this clock."""
    with replaced({id(time.monotonic): clock.monotonic}, PACKAGES):
        yield

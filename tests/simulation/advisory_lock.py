"""The lock that keeps erasures and writers apart: writers share it, and an erasure takes it alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from service.errors import StorageUnavailable
from tests.simulation.scheduler import Scheduler

LOCK_TIMEOUT_SECONDS: Final = 10.0


class Session(Protocol):
    @property
    def is_connected(self) -> bool:
        """Whether the server has not ended it, as it does if its client is suspended within a transaction."""


class AdvisoryLock:
    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._shared: list[Session] = []
        self._exclusive: list[Session] = []
        """Sessions that have, or wait for, the lock alone. The first one comes first, and all before new writers."""

    @contextmanager
    def shared(self, session: Session) -> Iterator[None]:
        """Raise StorageUnavailable after the lock timeout."""
        if self._exclusive:
            self._wait(lambda: not self._exclusive, LOCK_TIMEOUT_SECONDS)
        self._shared.append(session)
        try:
            yield
        finally:
            self._shared.remove(session)

    @contextmanager
    def exclusive(self, session: Session) -> Iterator[None]:
        """Raise StorageUnavailable after two lock timeouts."""
        self._exclusive.append(session)
        try:
            self._wait(lambda: self._exclusive[0] is session and not self._writers(), 2 * LOCK_TIMEOUT_SECONDS)
            yield
        finally:
            self._exclusive.remove(session)

    def _writers(self) -> list[Session]:
        return [each for each in self._shared if each.is_connected]

    def _wait(self, is_free: Callable[[], bool], seconds: float) -> None:
        if not self._scheduler.wait(is_free, seconds):
            raise StorageUnavailable("lock timeout", sqlstate="55P03")

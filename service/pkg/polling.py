"""Polls a dependency until it is ready: reports progress, and ends at a deadline or on shutdown."""

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from threading import Thread
from time import monotonic
from typing import Final, TypeVar

from service.errors import DeadlineExceeded, TryAgain
from service.pkg.run_with_timeout import settle
from service.pkg.shutdown_event import ShutdownEvent

T = TypeVar("T")
Echo = Callable[[str], None]

echo: Final[Echo] = partial(print, flush=True)

REPORT_INTERVAL_SECONDS: Final = 5.0
RETRY_INTERVAL_SECONDS: Final = 1.0
_POLL_INTERVAL_SECONDS: Final = 0.02


class Poller:
    """One deadline for all waits of a command."""

    def __init__(self, seconds: float, echo: Echo, stop: ShutdownEvent | None = None) -> None:
        self._seconds = seconds
        self._echo = echo
        self._stop = stop or ShutdownEvent()
        self._started_at = self._reported_at = monotonic()

    def until(self, attempt: Callable[[], T], what: str) -> T:
        """Repeat `attempt` while it raises TryAgain; return its result. Raises DeadlineExceeded."""
        while True:
            try:
                return self.call(attempt, what)
            except TryAgain as error:
                if str(error) != what:
                    what = str(error)
                    self._report(what)
            self._wait(what, RETRY_INTERVAL_SECONDS)

    def call(self, work: Callable[[], T], what: str) -> T:
        """Block until `work` ends; return its result, or raise its error. Raises DeadlineExceeded.

        `work` runs in a new daemon thread, which is abandoned at the deadline, because a frozen server never answers.
        """
        future: Future[T] = Future()
        Thread(target=settle, args=(future, work), daemon=True).start()
        while not future.done():
            self._wait(what, _POLL_INTERVAL_SECONDS)
        return future.result()

    def _wait(self, what: str, seconds: float) -> None:
        if self._stop.wait(min(seconds, max(self._seconds_left(), 0))):
            raise DeadlineExceeded(f"stopped while waiting for {what}")
        if self._seconds_left() <= 0:
            raise DeadlineExceeded(f"timed out after {self._seconds:g} s waiting for {what}")
        if monotonic() - self._reported_at >= REPORT_INTERVAL_SECONDS:
            self._report(what)

    def _seconds_left(self) -> float:
        return self._started_at + self._seconds - monotonic()

    def _report(self, what: str) -> None:
        self._reported_at = monotonic()
        self._echo(f"waiting for {what} ({self._reported_at - self._started_at:.0f} s)")

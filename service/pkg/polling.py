"""Waiting for something outside: it is said what for, it ends at a deadline, and a request to stop ends it at once."""

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from threading import Thread
from time import monotonic
from typing import Final, TypeVar

from service.pkg.run_with_timeout import settle
from service.pkg.shutdown_event import ShutdownEvent

T = TypeVar("T")
Echo = Callable[[str], None]

echo: Final[Echo] = partial(print, flush=True)

SAY_EVERY_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.02


class TryAgain(Exception):
    """An attempt did not succeed and the next one may; the text says what is waited for."""


class DeadlineExceeded(Exception):
    """The deadline passed, or a stop was asked for; the text says what was waited for."""


class Poller:
    """One deadline for all the waits of one command."""

    def __init__(self, seconds: float, echo: Echo, stop: ShutdownEvent | None = None) -> None:
        self._seconds = seconds
        self._say = echo
        self._stop = stop or ShutdownEvent()
        self._began = self._said = monotonic()

    def until(self, attempt: Callable[[], T], what: str) -> T:
        """Repeat `attempt` while it raises TryAgain and return what it returns; any other error of it passes through.

        Raises DeadlineExceeded.
        """
        while True:
            try:
                return self.call(attempt, what)
            except TryAgain as not_yet:
                if str(not_yet) != what:
                    what = str(not_yet)
                    self._tell(what)
            self._look(what, RETRY_SECONDS)

    def call(self, work: Callable[[], T], what: str) -> T:
        """Block until `work` has ended; return what it returns or raise what it raises. Raises DeadlineExceeded.

        It runs in a thread of its own, which is left behind when patience ends: a stopped server never answers.
        """
        future: Future[T] = Future()
        Thread(target=settle, args=(future, work), daemon=True).start()
        while not future.done():
            self._look(what, _LOOK_SECONDS)
        return future.result()

    def _look(self, what: str, seconds: float) -> None:
        if self._stop.wait(min(seconds, max(self._left(), 0))):
            raise DeadlineExceeded(f"stopped while waiting for {what}")
        if self._left() <= 0:
            raise DeadlineExceeded(f"gave up after {self._seconds:g} s of waiting for {what}")
        if monotonic() - self._said >= SAY_EVERY_SECONDS:
            self._tell(what)

    def _left(self) -> float:
        return self._began + self._seconds - monotonic()

    def _tell(self, what: str) -> None:
        self._said = monotonic()
        self._say(f"waiting for {what} ({self._said - self._began:.0f} s)")

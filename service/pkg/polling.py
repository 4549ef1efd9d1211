"""Repeats a call until it succeeds, with tenacity."""

import time
from collections.abc import Callable
from concurrent.futures import wait
from functools import partial
from time import monotonic
from typing import Any, Final, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, retry_if_result, stop_after_delay, wait_fixed

from service.errors import CommandFailed, Stopped, TryAgain
from service.pkg.output import Echo
from service.pkg.run_with_timeout import start_daemon_thread
from service.pkg.shutdown_event import ShutdownEvent

T = TypeVar("T")

REPORT_INTERVAL_SECONDS: Final = 5.0
RETRY_INTERVAL_SECONDS: Final = 1.0
_CHECK_INTERVAL_SECONDS: Final = 0.1
"""How often the deadline and a shutdown are checked during an attempt."""


def poll(
    call: Callable[[], T],
    until: Callable[[T], bool],
    *,
    seconds: float,
    interval: float,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Repeat `call` until its result satisfies `until`, or for `seconds`; return the last result."""
    retrying = Retrying(
        retry=retry_if_result(lambda result: not until(result)),
        wait=wait_fixed(interval),
        stop=stop_after_delay(seconds),
        sleep=sleep,
        retry_error_callback=_last_result,
    )
    return retrying(call)


def _last_result(state: RetryCallState) -> Any:
    return state.outcome and state.outcome.result()


class Poller:
    """Waits for dependencies of a command: one deadline for all, progress reports, and an end on shutdown."""

    def __init__(self, seconds: float, echo: Echo, stop: ShutdownEvent | None = None) -> None:
        self._seconds = seconds
        self._echo = echo
        self._stop = stop or ShutdownEvent()
        self._started_at = self._reported_at = monotonic()
        self._retrying = Retrying(
            retry=retry_if_exception_type(TryAgain),
            wait=wait_fixed(RETRY_INTERVAL_SECONDS),
            before_sleep=self._on_try_again,
            sleep=self._sleep,
        )

    def until(self, attempt: Callable[[], T], what: str) -> T:
        """Repeat `attempt` while it raises TryAgain; return its result. Raises CommandFailed, Stopped.

        Each one runs in a new thread, which is abandoned at the deadline, because a frozen server never answers.
        """
        self._what = what
        return self._retrying(partial(self._run, attempt))

    def _run(self, attempt: Callable[[], T]) -> T:
        call = start_daemon_thread(attempt)
        while not wait([call], _CHECK_INTERVAL_SECONDS).done:
            self._check()
        return call.result()

    def _on_try_again(self, state: RetryCallState) -> None:
        what = str(state.outcome and state.outcome.exception())
        if what != self._what:
            self._what = what
            self._report()

    def _sleep(self, seconds: float) -> None:
        self._stop.wait(min(seconds, self._seconds_left()))
        self._check()

    def _check(self) -> None:
        """Raise CommandFailed at the deadline, Stopped on shutdown; report that the wait continues."""
        if self._stop.is_set():
            raise Stopped(f"stopped while waiting for {self._what}")
        if self._seconds_left() <= 0:
            raise CommandFailed(f"timed out after {self._seconds:g} s waiting for {self._what}")
        if monotonic() - self._reported_at >= REPORT_INTERVAL_SECONDS:
            self._report()

    def _seconds_left(self) -> float:
        return self._started_at + self._seconds - monotonic()

    def _report(self) -> None:
        self._reported_at = monotonic()
        self._echo(f"waiting for {self._what} ({self._reported_at - self._started_at:.0f} s)")

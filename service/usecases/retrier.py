"""Retries the calls of the ingest, and reports each retry."""

from collections.abc import Callable
from threading import Event
from typing import TypeVar

from tenacity import RetryCallState

from service.pkg.backoff import Backoff
from service.pkg.retry import retrying
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.ports.ingest import RetryObserver

_Result = TypeVar("_Result")


class Retrier:
    """Belongs to the writing thread. `is_waiting` is set while it waits for the next attempt.

    `may_give_up` returns whether `give_up_after` also ends the retries of this error.
    """

    def __init__(
        self,
        backoff: Backoff,
        stop: ShutdownEvent,
        observer: RetryObserver,
        is_waiting: Event,
        *,
        is_transient: Callable[[BaseException], bool],
        may_give_up: Callable[[BaseException | None], bool] = lambda _: True,
    ) -> None:
        self._observer = observer
        self._is_waiting = is_waiting
        # Created once: it is a reference cycle, and the garbage collector runs rarely.
        self._retrying = retrying(
            backoff, stop, is_transient, self._before_retry, lambda state: may_give_up(_error_of(state))
        )
        self.attempts: int
        """Number of attempts of the last call; unset before the first one."""

    def call(self, attempt: Callable[[], _Result]) -> _Result:
        """Block until an attempt succeeds. Raises an error that is not transient, the last one if given up, Stopped."""
        error: BaseException | None = None
        for trial in self._retrying:
            self.attempts = trial.retry_state.attempt_number
            self._is_waiting.clear()
            with trial:
                result = attempt()
            error = _error_of(trial.retry_state) or error
        if error is not None:
            self._observer.on_recovery(error)
        return result

    def _before_retry(self, state: RetryCallState) -> None:
        self._is_waiting.set()
        error = _error_of(state)
        if error is not None:
            self._observer.on_retry(error, state.attempt_number, state.upcoming_sleep)


def _error_of(state: RetryCallState) -> BaseException | None:
    """Return the error of the attempt; None if it succeeded."""
    return state.outcome.exception() if state.outcome else None

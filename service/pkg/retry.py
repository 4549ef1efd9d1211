"""Retries with exponential backoff and full jitter, until shutdown."""

from collections.abc import Callable

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, stop_never, wait_random_exponential

from service.pkg.backoff import Backoff
from service.pkg.shutdown_event import ShutdownEvent


def retrying(
    backoff: Backoff,
    stop: ShutdownEvent,
    is_transient: Callable[[BaseException], bool],
    on_retry: Callable[[RetryCallState], None],
    may_give_up: Callable[[RetryCallState], bool] = lambda _: True,
) -> Retrying:
    """Return a tenacity controller: called with a function, it retries it. Raises Stopped on shutdown.

    After `give_up_after` seconds, it gives up at the first attempt after which `may_give_up` returns true.
    """
    too_late = stop_after_delay(backoff.give_up_after) if backoff.give_up_after is not None else stop_never
    return Retrying(
        retry=retry_if_exception(is_transient),
        wait=wait_random_exponential(multiplier=backoff.initial_backoff, max=backoff.max_backoff),
        stop=lambda state: too_late(state) and may_give_up(state),
        sleep=stop.sleep,
        before_sleep=on_retry,
        reraise=True,
    )

"""A timeout for blocking calls that have none of their own, or do not honour it."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

T = TypeVar("T")

_THREAD_NAME: Final = "bounded call"


def run_with_timeout(seconds: float, work: Callable[[], T]) -> T:
    """Block until `work` ends; return its result, or raise its error. Raises TimeoutError.

    `work` runs in a new daemon thread, which keeps running after a timeout.
    """
    future: Future[T] = Future()
    threading.Thread(target=settle, args=(future, work), name=_THREAD_NAME, daemon=True).start()
    return future.result(seconds)


def has_unfinished_calls() -> bool:
    """Return whether an abandoned call is still running."""
    return any(thread.name == _THREAD_NAME for thread in threading.enumerate())


def settle(future: "Future[T]", work: Callable[[], T]) -> None:
    """Set the future to the result or the error of the call."""
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001 - raised by future.result()
        future.set_exception(error)

"""A bound on calls of others that have none, or do not keep it."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

T = TypeVar("T")

_THREAD_NAME: Final = "bounded call"


def run_with_timeout(seconds: float, work: Callable[[], T]) -> T:
    """Block until `work` has ended; return what it returns or raise what it raises. Raises TimeoutError.

    It runs in a thread of its own, which is left behind then.
    """
    future: Future[T] = Future()
    threading.Thread(target=settle, args=(future, work), name=_THREAD_NAME, daemon=True).start()
    return future.result(seconds)


def has_unfinished_calls() -> bool:
    """Tell whether a call that took too long is still running."""
    return any(thread.name == _THREAD_NAME for thread in threading.enumerate())


def settle(future: "Future[T]", work: Callable[[], T]) -> None:
    """Let a future have what a call returns or raises."""
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001 - handed to whoever waits
        future.set_exception(error)

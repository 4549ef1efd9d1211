"""A bound on calls of others that have none, or do not keep it."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, work: Callable[[], T]) -> T:
    """Block until `work` has ended; return what it returns or raise what it raises. Raises TimeoutError.

    It runs in a thread of its own, which is left behind then.
    """
    future: Future[T] = Future()
    Thread(target=settle, args=(future, work), daemon=True).start()
    return future.result(seconds)


def settle(future: "Future[T]", work: Callable[[], T]) -> None:
    """Let a future have what a call returns or raises."""
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001 - handed to whoever waits
        future.set_exception(error)

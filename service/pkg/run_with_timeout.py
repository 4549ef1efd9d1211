"""A timeout for blocking calls that have none, or that exceed their own."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")


def run_with_timeout(seconds: float, work: Callable[[], T]) -> T:
    """Block until `work` ends; return its result, or raise its error. Raises TimeoutError.

    It runs in a new thread, which is abandoned on a timeout.
    """
    call = start_daemon_thread(work)
    if not wait([call], seconds).done:
        raise TimeoutError(f"timed out after {seconds:g} s")
    return call.result()


def start_daemon_thread(work: Callable[[], T]) -> "Future[T]":
    """Run `work` in a new thread, for which the process does not wait at its end."""
    call: Future[T] = Future()
    call.set_running_or_notify_cancel()  # so that it cannot be canceled
    threading.Thread(target=_settle, args=(call, work), daemon=True).start()
    return call


async def run_in_daemon_thread(work: Callable[[], T]) -> T:
    """Run as `asyncio.to_thread` does, but let neither event loop nor process wait for the thread at their end."""
    return await asyncio.wrap_future(start_daemon_thread(work))


def _settle(call: "Future[T]", work: Callable[[], T]) -> None:
    try:
        call.set_result(work())
    except BaseException as error:  # noqa: BLE001 - raised by result()
        call.set_exception(error)

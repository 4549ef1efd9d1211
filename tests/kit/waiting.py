"""Waits for conditions. No other module of the tests sleeps."""

import asyncio
from collections.abc import Callable, Generator
from threading import Event
from time import monotonic
from typing import TypeVar

T = TypeVar("T")

POLL_INTERVAL_SECONDS = 0.05
MAX_ITERATIONS = 10_000


def eventually(check: Callable[[], T], within: float = 10.0, what: str = "the condition") -> T:
    """Block until `check()` returns a true value, and return it. An exception of `check` counts as false.

    Raises AssertionError after `within` seconds and at least one attempt, caused by the last exception of `check`.
    """
    deadline = monotonic() + within
    while True:
        result, error = _attempt(check)
        if result:
            return result
        if monotonic() >= deadline:
            raise AssertionError(f"{what}: timed out after {within:g} s (last: {error or result!r})") from error
        Event().wait(POLL_INTERVAL_SECONDS)


def throughout(check: Callable[[], bool], seconds: float, what: str = "the condition") -> None:
    """Block for `seconds`, in which `check()` must stay true. Raises AssertionError as soon as it is not."""
    deadline = monotonic() + seconds
    while True:
        assert check(), f"{what}: no longer true, {deadline - monotonic():.1f} s too early"
        if (left := deadline - monotonic()) <= 0:
            return
        Event().wait(min(left, POLL_INTERVAL_SECONDS))


class _Iteration:
    def __await__(self) -> Generator[None, None, None]:
        yield


async def one_iteration() -> None:
    """Return in the next iteration of the event loop."""
    await _Iteration()


async def until_idle() -> None:
    """Run asyncio's event loop until every other task waits for an event, I/O or time to pass.

    Raises AssertionError if a task never waits.
    """
    loop = asyncio.get_running_loop()
    for _ in range(MAX_ITERATIONS):
        await _Iteration()
        if not loop._ready:  # type: ignore[attr-defined]  # the callbacks of the next iteration; no public API has them
            return
    raise AssertionError(f"the event loop was not idle after {MAX_ITERATIONS:,} iterations")


async def until(check: Callable[[], bool], within: float = 10.0) -> float:
    """Run the event loop until `check()` is true, and return the seconds that took; AssertionError after `within`."""
    began = monotonic()
    while not check():
        assert monotonic() - began < within, f"timed out after {within:g} s"
        await asyncio.sleep(0.002)
    return monotonic() - began


def _attempt(check: Callable[[], T]) -> tuple[T | None, Exception | None]:
    try:
        return check(), None
    except Exception as error:  # noqa: BLE001 - reported after the deadline
        return None, error

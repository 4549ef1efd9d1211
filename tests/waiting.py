"""The only place of the tests that waits."""

import asyncio
from collections.abc import Callable, Generator
from threading import Event
from time import monotonic
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.05


def eventually(check: Callable[[], T], within: float = 10.0, what: str = "the condition") -> T:
    """Block until `check()` returns something true, and return that.

    What `check` raises counts as "not yet". After `within` seconds, and at least one try: AssertionError, caused by the
    last thing that `check` raised.
    """
    deadline = monotonic() + within
    while True:
        result, error = _attempt(check)
        if result:
            return result
        if monotonic() >= deadline:
            raise AssertionError(f"{what}: not within {within:g} s (last: {error or result!r})") from error
        Event().wait(POLL_SECONDS)


class _Turn:
    def __await__(self) -> Generator[None, None, None]:
        yield


async def turns(count: int = 1) -> None:
    """Return when the event loop has run so many times all that was ready; needs no time to pass."""
    for _ in range(count):
        await _Turn()


async def until(check: Callable[[], bool], within: float = 10.0) -> float:
    """Let the event loop run until `check()` is true, and return how many seconds that took; else AssertionError."""
    began = monotonic()
    while not check():
        assert monotonic() - began < within, f"not within {within:g} s"
        await asyncio.sleep(0.002)
    return monotonic() - began


def _attempt(check: Callable[[], T]) -> tuple[T | None, Exception | None]:
    try:
        return check(), None
    except Exception as error:  # noqa: BLE001 whatever it is, the deadline tells it
        return None, error

"""A timer of a connection."""

import asyncio
from collections.abc import Callable
from typing import Any


class ConnectionTimer:
    """Calls a function unless it is canceled in time. Belongs to one event loop."""

    __slots__ = ("_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and not canceled."""
        return self._timer is not None

    def start(self, seconds: float, callback: Callable[..., object], *args: Any) -> None:
        """Start again from zero if it is running."""
        self.cancel()
        self._timer = self._loop.call_later(seconds, callback, *args)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

"""A figure that costs something to get: asked for now and then, and never waited for long."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")


class RefreshingValue(Generic[T]):
    """Asks at most every `seconds`, one at a time, and lets a caller wait for at most `patience` seconds.

    `ask` returns None when the figure can't be had; it must end by itself. For one event loop.
    """

    def __init__(self, ask: Callable[[], Awaitable[T | None]], seconds: float, patience: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._patience = patience
        self._value: T | None = None
        self._due_at = 0.0
        self._asking: asyncio.Task[None] | None = None

    async def get(self) -> T | None:
        """Return the figure, at most `seconds` old; None when it could not be had."""
        if self._asking is None and monotonic() >= self._due_at:
            self._asking = asyncio.create_task(self._refresh())
        if self._asking is not None:
            await asyncio.wait([self._asking], timeout=self._patience)
        return self._value if self._asking is None else None

    async def _refresh(self) -> None:
        try:
            self._value = await self._ask()
        finally:
            self._due_at = monotonic() + self._seconds
            self._asking = None

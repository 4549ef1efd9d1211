"""Caches a value that is expensive to load."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")


class RefreshingValue(Generic[T]):
    """Loads at most every `interval_seconds`, and makes a caller wait for at most `timeout_seconds`.

    `load` returns None if the value is not available; it must not block forever. Belongs to one event loop.
    """

    def __init__(
        self, load: Callable[[], Awaitable[T | None]], *, interval_seconds: float, timeout_seconds: float
    ) -> None:
        self._load = load
        self._interval_seconds = interval_seconds
        self._timeout_seconds = timeout_seconds
        self._value: T | None = None
        self._due_at = 0.0
        self._loading: asyncio.Task[None] | None = None

    async def get(self) -> T | None:
        """Return the value, at most `interval_seconds` old; None if it is not available."""
        if self._loading is None and monotonic() >= self._due_at:
            self._loading = asyncio.create_task(self._refresh())
        if self._loading is not None:
            await asyncio.wait([self._loading], timeout=self._timeout_seconds)
        return self._value if self._loading is None else None

    async def _refresh(self) -> None:
        try:
            self._value = await self._load()
        finally:
            self._due_at = monotonic() + self._interval_seconds
            self._loading = None

"""Caches a value that is expensive to load."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from service.pkg.result_cache import ResultCache

T = TypeVar("T")


class RefreshingValue(Generic[T]):
    """Loads at most every `interval_seconds`, and makes a caller wait for at most `timeout_seconds`.

    `load` returns None if the value is not available; it must not block forever. Belongs to one event loop.
    """

    def __init__(
        self, load: Callable[[], Awaitable[T | None]], *, interval_seconds: float, timeout_seconds: float
    ) -> None:
        self._results = ResultCache[None, T | None](lambda _: load(), ttl_seconds=interval_seconds)
        self._timeout_seconds = timeout_seconds

    async def get(self) -> T | None:
        """Return the value, at most `interval_seconds` old; None if it is not available."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._results.get(None)
        except TimeoutError:
            return None

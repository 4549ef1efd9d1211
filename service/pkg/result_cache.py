"""Caches results of expensive calls by key."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class ResultCache(Generic[K, T]):
    """Concurrent calls for a key share one `load`, whose result is kept for `ttl_seconds`. Errors are not cached.

    An error of `load` is dropped if all of its callers were canceled.

    Belongs to one event loop.
    """

    def __init__(self, load: Callable[[K], Awaitable[T]], *, ttl_seconds: float) -> None:
        self._load = load
        self._ttl_seconds = ttl_seconds
        self._results: dict[K, asyncio.Task[T]] = {}

    async def get(self, key: K) -> T:
        """Return the result, or raise the error of `load`. A canceled caller does not cancel the call for others."""
        result = self._results.get(key)
        if result is None:
            result = self._results[key] = asyncio.create_task(self._run(key))
            result.add_done_callback(_retrieve_error)
        return await asyncio.shield(result)

    async def _run(self, key: K) -> T:
        try:
            result = await self._load(key)
        except BaseException:
            del self._results[key]
            raise
        asyncio.get_running_loop().call_later(self._ttl_seconds, self._results.pop, key)
        return result


def _retrieve_error(task: "asyncio.Task[T]") -> None:
    """Keep asyncio from logging "Task exception was never retrieved" if all callers were canceled."""
    if not task.cancelled():
        task.exception()

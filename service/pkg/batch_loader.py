"""Batches concurrent loads: keys requested while a load is running are loaded together by the next one."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")

Load = Callable[[Sequence[Key]], Awaitable[Mapping[Key, Value]]]


class BatchLoader(Generic[Key, Value]):
    """`load` gets at most `max_keys` distinct keys; at most `max_concurrent` calls run at once. For one event loop."""

    def __init__(self, load: "Load[Key, Value]", *, max_concurrent: int, max_keys: int) -> None:
        self._load = load
        self._idle = max_concurrent
        self._max_keys = max_keys
        self._waiting: dict[Key, asyncio.Future[Value | None]] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def get(self, key: Key) -> Value | None:
        """Return the value, or None if there is none, loaded after this call. Raises what `load` raises."""
        future = self._waiting.get(key)
        if future is None:
            future = self._waiting[key] = asyncio.get_running_loop().create_future()
            if self._idle:
                self._idle -= 1
                task = asyncio.create_task(self._run())
                self._running.add(task)
                task.add_done_callback(self._running.discard)
        return await asyncio.shield(future)  # a cancelled caller must not cancel the others' load

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._load_batch([*islice(self._waiting, self._max_keys)])
        finally:
            self._idle += 1

    async def _load_batch(self, keys: list[Key]) -> None:
        futures = {key: self._waiting.pop(key) for key in keys}
        try:
            values = await self._load(keys)
        except BaseException as error:
            for future in futures.values():
                future.set_exception(error)
                future.exception()  # or asyncio logs "exception was never retrieved" if every caller was cancelled
            if not isinstance(error, Exception):
                raise
        else:
            for key, future in futures.items():
                future.set_result(values.get(key))

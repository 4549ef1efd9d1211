"""Batches concurrent loads: keys requested while a load is running are loaded together by the next one."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")

Load = Callable[[Sequence[Key]], Awaitable[Mapping[Key, Value]]]
OnLoaded = Callable[[Key, Value], None]


class BatchLoader(Generic[Key, Value]):
    """All callers of a key share one load, until it ends or is detached. Belongs to one event loop.

    `load` gets at most `max_keys` distinct keys and returns a value for each; at most `max_concurrent` calls run at
    once. `on_loaded` gets each value whose load was not detached, before a caller does.
    """

    def __init__(
        self, load: "Load[Key, Value]", on_loaded: "OnLoaded[Key, Value]", *, max_concurrent: int, max_keys: int
    ) -> None:
        self._load = load
        self._on_loaded = on_loaded
        self._idle = max_concurrent
        self._max_keys = max_keys
        self._current: dict[Key, asyncio.Future[Value]] = {}
        """Pending and running loads, which new callers join."""
        self._waiting: deque[tuple[Key, asyncio.Future[Value]]] = deque()
        self._running: set[asyncio.Task[None]] = set()

    async def get(self, key: Key) -> Value:
        """Return the value of the key's current load, or of a new one. Raises what `load` and `on_loaded` raise."""
        future = self._current.get(key)
        if future is None:
            future = self._current[key] = asyncio.get_running_loop().create_future()
            self._waiting.append((key, future))
            if self._idle:
                self._idle -= 1
                task = asyncio.create_task(self._run())
                self._running.add(task)
                task.add_done_callback(self._running.discard)
        return await asyncio.shield(future)  # a canceled caller must not cancel the others' load

    def detach(self, key: Key) -> None:
        """Let later callers of the key start a new load. `on_loaded` does not get the current load's value."""
        self._current.pop(key, None)

    def detach_all(self) -> None:
        self._current.clear()

    async def _run(self) -> None:
        try:
            while self._waiting:
                count = min(len(self._waiting), self._max_keys)
                await self._load_batch([self._waiting.popleft() for _ in range(count)])
        finally:
            self._idle += 1

    async def _load_batch(self, batch: list[tuple[Key, asyncio.Future[Value]]]) -> None:
        try:
            values = await self._load([*dict.fromkeys(key for key, _ in batch)])
            for key, future in batch:
                if self._end(key, future):
                    self._on_loaded(key, values[key])
                future.set_result(values[key])
        except BaseException as error:
            for key, future in batch:
                if not future.done():
                    self._end(key, future)
                    future.set_exception(error)
                    future.exception()  # or asyncio logs "exception was never retrieved" if all callers were canceled
            if not isinstance(error, Exception):
                raise

    def _end(self, key: Key, future: "asyncio.Future[Value]") -> bool:
        """Return whether the load was current until now."""
        is_current = self._current.get(key) is future
        if is_current:
            del self._current[key]
        return is_current

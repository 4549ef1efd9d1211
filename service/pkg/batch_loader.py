"""Questions that come one by one, asked together: a batch is what came while the last ones were being answered."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import Generic, TypeVar

Key = TypeVar("Key")
Answer = TypeVar("Answer")

Ask = Callable[[Sequence[Key]], Awaitable[Mapping[Key, Answer]]]


class BatchLoader(Generic[Key, Answer]):
    """For one event loop.

    Each call of `ask` gets at most `most` different keys; at most `at_once` calls run at a time.
    """

    def __init__(self, ask: "Ask[Key, Answer]", *, at_once: int, most: int) -> None:
        self._ask = ask
        self._idle = at_once
        self._most = most
        self._waiting: dict[Key, asyncio.Future[Answer | None]] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def get(self, key: Key) -> Answer | None:
        """Return the answer, None where there is none, as of a moment after this call. Raises what `ask` raises."""
        future = self._waiting.get(key)
        if future is None:
            future = self._waiting[key] = asyncio.get_running_loop().create_future()
            if self._idle:
                self._idle -= 1
                task = asyncio.create_task(self._ask_on())
                self._running.add(task)
                task.add_done_callback(self._running.discard)
        return await asyncio.shield(future)  # one who goes away must not end it for the others

    async def _ask_on(self) -> None:
        try:
            while self._waiting:
                await self._answer([*islice(self._waiting, self._most)])
        finally:
            self._idle += 1

    async def _answer(self, keys: list[Key]) -> None:
        futures = {key: self._waiting.pop(key) for key in keys}
        try:
            answers = await self._ask(keys)
        except BaseException as error:
            for future in futures.values():
                future.set_exception(error)
                future.exception()  # where nobody waits any more, it is no news for the event loop
            if not isinstance(error, Exception):
                raise
        else:
            for key, future in futures.items():
                future.set_result(answers.get(key))

"""The newest orders are in memory before the first request is taken, unless that takes too long."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final

from structlog.typing import FilteringBoundLogger

from service.entities.errors import StorageUnavailable
from service.usecases.lookup import Lookup

RETRY_SECONDS: Final = 0.5


class WarmUp:
    """`is_over` once it is done or its deadline has passed; `orders` and `seconds` tell about it once it is done."""

    def __init__(
        self, lookup: Lookup, count: int, deadline: float, log: FilteringBoundLogger, on_done: Callable[[], None]
    ) -> None:
        self._lookup = lookup
        self._count = count
        self._deadline = deadline
        self._log = log
        self._on_done = on_done
        self.is_over = False
        self.orders = 0
        self.seconds: float | None = None

    async def run(self, listening: asyncio.Event) -> None:
        """Return when the orders are loaded, however long that takes; `listening` is set when LISTEN has committed."""
        began = monotonic()
        deadline = asyncio.get_running_loop().call_later(
            self._deadline, self.give_up, f"it takes longer than {self._deadline:g} s"
        )
        try:
            self.orders = await self._load(listening) if self._count else 0
        finally:
            deadline.cancel()
        self.seconds = monotonic() - began
        self._log.info("the cache is warm", orders=self.orders, seconds=round(self.seconds, 3))
        self.is_over = True
        self._on_done()

    async def _load(self, listening: asyncio.Event) -> int:
        while True:
            await listening.wait()
            try:
                loaded = await self._lookup.warm(self._count)
            except StorageUnavailable as error:
                self._log.warning("the warm-up waits for the database", sqlstate=error.sqlstate)
                loaded = None
            if loaded is not None:
                return loaded
            await asyncio.sleep(RETRY_SECONDS)

    def give_up(self, reason: str) -> None:
        """Let the API serve; what can be loaded later still will be."""
        if not self.is_over:
            self._log.warning("serving although the cache is not warm", reason=reason)
        self.is_over = True

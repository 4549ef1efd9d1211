"""Loads the newest orders into the cache before the API becomes ready, or until a timeout."""

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import Final

from tenacity import AsyncRetrying, retry_if_exception_type, retry_if_result, wait_fixed

from service.errors import StorageUnavailable
from service.usecases.cached_orders import CachedOrders
from service.usecases.load_newest import load_newest
from service.usecases.ports.reads import OrderReader, WarmUpObserver

WARM_UP_RETRY_INTERVAL_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class WarmUpResult:
    orders: int
    seconds: float


class WarmUp:
    """Belongs to one event loop."""

    def __init__(
        self,
        reader: OrderReader,
        cached: CachedOrders,
        observer: WarmUpObserver,
        *,
        count: int,
        timeout_seconds: float,
    ) -> None:
        self._reader = reader
        self._cached = cached
        self._count = count
        self._timeout_seconds = timeout_seconds
        self._observer = observer
        self._is_overdue = False
        self._result: WarmUpResult | None = None

    @property
    def is_over(self) -> bool:
        """Whether the API may serve: loading has finished, or has timed out and continues in the background."""
        return self._result is not None or self._is_overdue

    @property
    def orders(self) -> int:
        """Number of loaded orders; 0 while they are being loaded."""
        return self._result.orders if self._result else 0

    @property
    def seconds(self) -> float | None:
        """How long loading took; None while it continues."""
        return self._result.seconds if self._result else None

    async def run(self, listening: asyncio.Event) -> None:
        """Return when the orders are loaded, even after the timeout. Waits for `listening`: LISTEN has committed."""
        began = monotonic()
        timer = asyncio.get_running_loop().call_later(
            self._timeout_seconds, self.stop_waiting, f"timed out after {self._timeout_seconds:g} s"
        )
        try:
            orders = await self._load(listening) if self._count else 0
        finally:
            timer.cancel()
        self._result = WarmUpResult(orders, monotonic() - began)
        self._observer.on_done(orders, self._result.seconds)

    async def _load(self, listening: asyncio.Event) -> int:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(StorageUnavailable) | retry_if_result(lambda loaded: loaded is None),
            wait=wait_fixed(WARM_UP_RETRY_INTERVAL_SECONDS),
        )
        loaded: int = await retrying(self._attempt, listening)
        return loaded

    async def _attempt(self, listening: asyncio.Event) -> int | None:
        await listening.wait()
        try:
            return await load_newest(self._reader, self._cached, self._count)
        except StorageUnavailable as error:
            self._observer.on_retry(error)
            raise

    def stop_waiting(self, problem: str) -> None:
        """Let the API become ready. Loading continues in the background."""
        if not self.is_over:
            self._observer.on_overdue(problem)
        self._is_overdue = True

"""Waits for a lock of asyncio, for a limited time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def acquired_within(
    seconds: float, lock: asyncio.Lock | asyncio.Semaphore, on_timeout: Exception
) -> AsyncIterator[None]:
    """Hold the lock during the block. Raises `on_timeout` if it cannot be acquired in time."""
    try:
        async with asyncio.timeout(seconds):
            await lock.acquire()
    except TimeoutError:
        raise on_timeout from None
    try:
        yield
    finally:
        lock.release()

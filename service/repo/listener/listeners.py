"""Listens to all servers that writers connect to: NOTIFY reaches only the sessions of the server that it was sent on.

What is cached is coherent only while every listener is verified, so losing one counts as losing all of them.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from structlog.typing import FilteringBoundLogger

from service.repo.conninfo import Conninfo
from service.repo.listener.callbacks import MergedCallbacks
from service.repo.listener.listener import Listener, ReadingConnections
from service.repo.listener.merged import MergedListeners

QUERY_TIMEOUT_SECONDS: Final = 1.0
"""After which a connection for reads counts as half-open. Without notifications, its statement timeout would be too
long: meanwhile, cached orders would be served although a new connection could read current ones."""


class Listeners:
    """Belongs to one event loop. Each of `servers` must lead to a primary itself. `heartbeat` is in seconds."""

    def __init__(
        self,
        servers: Sequence[Conninfo],
        reads: ReadingConnections,
        callbacks: MergedCallbacks,
        log: FilteringBoundLogger,
        *,
        heartbeat: float,
    ) -> None:
        self._reads = reads
        self._on_disconnect = callbacks.on_disconnect
        self._timeout_seconds = heartbeat / 2
        self._merged = MergedListeners(len(servers), callbacks)
        self.members = [
            Listener(server, reads, self._merged.callbacks_of(number), log, heartbeat=heartbeat)
            for number, server in enumerate(servers)
        ]

    @property
    def is_verified(self) -> bool:
        """Whether the notifications of all servers arrive."""
        return self._merged.is_verified

    async def run(self) -> None:
        """Listen until canceled, and reconnect after every failure. Raises CommandFailed or InvalidSettings."""
        tasks = [asyncio.create_task(member.run()) for member in self.members]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)  # they close their connections

    async def watch(self) -> None:
        """Call `on_disconnect` repeatedly while a listener is not verified. Runs until canceled."""
        query: asyncio.Task[None] | None = None
        while True:
            await self._merged.disconnected.wait()
            if query is None or query.done():
                query = asyncio.create_task(self._query())
                query.add_done_callback(_succeeded)  # retrieves its error, which asyncio would log otherwise
            await asyncio.wait({query}, timeout=self._timeout_seconds)
            can_read = query.done() and _succeeded(query)
            if not self.is_verified:
                self._on_disconnect(can_read)
            await asyncio.sleep(self._timeout_seconds)

    async def _query(self) -> None:
        """Query the database that is read. Replaces its connections if one does not answer: all may be half-open."""
        try:
            async with asyncio.timeout(QUERY_TIMEOUT_SECONDS):
                await self._reads.identity()
        except TimeoutError:
            await self._reads.replace_connections()
            raise


def _succeeded(query: "asyncio.Task[None]") -> bool:
    return not query.cancelled() and not query.exception()

"""Listens to all servers that writers connect to: NOTIFY reaches only the sessions of the server that it was sent on.

What is cached is coherent only while every listener is verified, so losing one counts as losing all of them.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from structlog.typing import FilteringBoundLogger

from service.repo.listener.listener import Listener, ListenerCallbacks, ReadingConnections
from service.usecases.minimum_lsn import UNKNOWN_LSN

if TYPE_CHECKING:
    from service.repo.scope import Identity

OTHER_DATABASE: Final = "ORDERS_POSTGRES__LISTEN_DSN leads to another database than ORDERS_POSTGRES__DSN"
NO_DATABASE: Final = "no entry of ORDERS_POSTGRES__LISTEN_DSN leads to the database of ORDERS_POSTGRES__DSN"
SAME_DATABASE: Final = "two entries of ORDERS_POSTGRES__LISTEN_DSN lead to the same database"


@dataclass(frozen=True, slots=True)
class NotificationCallbacks:
    """Called on the event loop; none may block. LSNs of several servers cannot be compared: they are UNKNOWN_LSN."""

    on_listen: Callable[[int], None]
    """Notifications of all servers arrive from now on. Those of commits before this LSN may have been missed."""
    on_lsn: Callable[[int], None]
    """Every notification received so far was committed before this LSN."""
    on_verified: Callable[[float], None]
    """Every notification sent before this time of time.monotonic() has been received."""
    on_notify: Callable[[list[str], list[str]], None]
    """The uids of new orders, and of changed ones."""
    on_disconnect: Callable[[bool], None]
    """Notifications may be missed. Called repeatedly until `on_listen`, with whether the database can be read."""
    on_repeated_timeouts: Callable[[], None]
    """Notifications of a server do not arrive although it answers: someone must fix the cause."""


class Listeners:
    """For one event loop. Each DSN must lead to a primary itself; `heartbeat` and `connect_timeout` are seconds."""

    def __init__(
        self,
        dsns: Sequence[str],
        reads: ReadingConnections,
        callbacks: NotificationCallbacks,
        log: FilteringBoundLogger,
        *,
        heartbeat: float,
        connect_timeout: float,
    ) -> None:
        self._reads = reads
        self._callbacks = callbacks
        self._timeout_seconds = heartbeat / 2
        self._databases: dict[int, str] = {}
        self._verified_at: dict[int, float] = {}
        """Of this round: it ends when each listener is verified again."""
        self._disconnected = asyncio.Event()
        self._disconnected.set()
        self.members = [
            Listener(
                dsn, reads, self._member_callbacks(number), log, heartbeat=heartbeat, connect_timeout=connect_timeout
            )
            for number, dsn in enumerate(dsns)
        ]

    @property
    def is_verified(self) -> bool:
        """Whether the notifications of all servers arrive."""
        return all(member.is_verified for member in self.members)

    async def run(self) -> None:
        """Listen until canceled, and reconnect after every failure. Raises UnsupportedEncoding."""
        tasks = [asyncio.create_task(member.run()) for member in self.members]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)  # until the connections are closed

    async def watch(self) -> None:
        """While disconnected, report repeatedly whether the database can be read; until canceled."""
        query: asyncio.Task[Identity] | None = None
        while True:
            await self._disconnected.wait()
            if query is None or query.done():
                query = asyncio.create_task(self._reads.identity())
                query.add_done_callback(_succeeded)
            await asyncio.wait({query}, timeout=self._timeout_seconds)
            can_read = query.done() and _succeeded(query)
            if not self.is_verified:
                self._callbacks.on_disconnect(can_read)
            await asyncio.sleep(self._timeout_seconds)

    def _member_callbacks(self, number: int) -> ListenerCallbacks:
        return ListenerCallbacks(
            on_listen=self._on_listen,
            on_lsn=self._on_lsn,
            on_verified=partial(self._on_verified, number),
            on_notify=self._callbacks.on_notify,
            on_disconnect=partial(self._on_disconnect, number),
            on_repeated_timeouts=self._callbacks.on_repeated_timeouts,
            database_problem=partial(self._database_problem, number),
        )

    def _on_listen(self, lsn: int) -> None:
        if self.is_verified:
            self._disconnected.clear()
            self._callbacks.on_listen(self._comparable(lsn))

    def _on_lsn(self, lsn: int) -> None:
        self._callbacks.on_lsn(self._comparable(lsn))

    def _comparable(self, lsn: int) -> int:
        """Return the LSN, or UNKNOWN_LSN with several servers: then nothing that a standby returns is cached."""
        return lsn if len(self.members) == 1 else UNKNOWN_LSN

    def _on_verified(self, number: int, at: float) -> None:
        self._verified_at[number] = at
        if self.is_verified and len(self._verified_at) == len(self.members):
            self._callbacks.on_verified(min(self._verified_at.values()))
            self._verified_at.clear()

    def _on_disconnect(self, number: int) -> None:
        self._databases.pop(number, None)
        self._disconnected.set()

    def _database_problem(self, number: int, database: str, read: str) -> str | None:
        """Require different databases, one of which is read. Of several nodes, a read may reach any."""
        others = {each for at, each in self._databases.items() if at != number}
        if database in others:
            return SAME_DATABASE
        if len(others) == len(self.members) - 1 and read not in others | {database}:
            return NO_DATABASE if others else OTHER_DATABASE
        self._databases[number] = database
        return None


def _succeeded(query: "asyncio.Task[Identity]") -> bool:
    return not query.cancelled() and not query.exception()

"""Hears what the writers notify, on a connection of its own, and finds out within a second when it no longer does.

Half-open TCP and a pooler in transaction mode are silently deaf. So the listener notifies itself, at start and with
each heartbeat, and counts as lost when that doesn't come back in time.
"""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Final

import psycopg
from structlog.typing import FilteringBoundLogger

from service.pkg.seldom import Seldom
from service.repo.away import what_failed
from service.repo.connection import BoundedAsyncConnection
from service.repo.notifications import CHANNEL, parse

RETRY_SECONDS: Final = 0.2
"""Between two attempts to connect; a deaf connection is found, replaced and its cache emptied within a second."""
SAY_EVERY_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Ears:
    """What the listener tells, on the event loop; none of it may block."""

    listening: Callable[[], None]
    """LISTEN has committed: what is stored from now on is heard; what was stored before may have been missed."""
    proven: Callable[[float], None]
    """All that was notified before this moment of time.monotonic() has been heard."""
    heard: Callable[[list[str], list[str]], None]
    """Ids of orders that are new, and of those that changed."""
    lost: Callable[[], None]
    """What is stored from now on is perhaps not heard."""


class Deaf(Exception):
    """The heartbeat did not return in time."""


class Listener:
    """For one event loop. `dsn` should lead to PostgreSQL itself; `heartbeat` and `connect_timeout` are seconds."""

    def __init__(
        self, dsn: str, ears: Ears, log: FilteringBoundLogger, *, heartbeat: float, connect_timeout: float
    ) -> None:
        self._dsn = dsn
        self._ears = ears
        self._log = log
        self._heartbeat = heartbeat
        self._patience = heartbeat / 2  # at the end of a heartbeat a loss is at most one and a half of them old
        self._connect_timeout = connect_timeout
        self._own_channel = f"orders_heartbeat_{secrets.token_hex(8)}"
        self._beats = 0
        self._seldom = Seldom(SAY_EVERY_SECONDS)
        self.is_proven = False

    async def run(self) -> None:
        """Listen until cancelled, whatever happens to the connection."""
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError, TimeoutError, Deaf) as error:
                self._lose(error)
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self) -> None:
        """Connect and listen. Raises psycopg.Error, OSError, TimeoutError or Deaf when the connection is lost."""
        async with asyncio.timeout(self._connect_timeout):
            connection = await BoundedAsyncConnection.connect(
                self._dsn, autocommit=True, application_name="orders-listener", prepare_threshold=None
            )
        connection.deadline = self._patience
        try:
            await connection.execute(f"LISTEN {CHANNEL}")
            await connection.execute(f"LISTEN {self._own_channel}")
            self._ears.listening()
            while True:
                await self._beat(connection)
        finally:
            with suppress(psycopg.Error):
                await connection.close()

    async def _beat(self, connection: BoundedAsyncConnection) -> None:
        """Prove that notifications arrive, then hear them until the next beat is due. Raises Deaf."""
        began = monotonic()
        self._beats += 1
        await connection.execute("SELECT pg_notify(%s, %s)", [self._own_channel, str(self._beats)])
        if not await self._hear(connection, began + self._patience, until=str(self._beats)):
            raise Deaf
        self._prove(began)
        await self._hear(connection, began + self._heartbeat)

    async def _hear(self, connection: BoundedAsyncConnection, deadline: float, until: str | None = None) -> bool:
        """Pass on what comes until the deadline, or until this beat has come; True if it has."""
        has_come = False
        while not has_come and (left := deadline - monotonic()) > 0:
            # Without a break: psycopg drops what else came with the notification that it would leave the loop at.
            async for notify in connection.notifies(timeout=left, stop_after=1):
                if notify.channel == CHANNEL:
                    self._pass_on(notify.payload)
                has_come |= notify.channel == self._own_channel and notify.payload == until
        return has_come

    def _pass_on(self, payload: str) -> None:
        notification = parse(payload)
        if notification:
            self._ears.heard(notification.new, notification.changed)

    def _prove(self, moment: float) -> None:
        if not self.is_proven:
            self._log.info("notifications arrive")
            self._seldom = Seldom(SAY_EVERY_SECONDS)  # so that the next loss is told at once
        self.is_proven = True
        self._ears.proven(moment)

    def _lose(self, error: Exception) -> None:
        """Tell it, and log it now and then."""
        if self.is_proven:
            self._ears.lost()
        self.is_proven = False
        if self._seldom.is_due("notifications don't arrive"):
            self._log.warning("notifications don't arrive", reason=_reason(error))


def _reason(error: Exception) -> str:
    """Say it without the driver's text."""
    if isinstance(error, Deaf):
        return "the heartbeat did not return; LISTEN needs a direct connection (postgres.listen_dsn), not a pooler"
    if isinstance(error, psycopg.OperationalError) and not error.sqlstate:
        return what_failed(error)
    return f"{type(error).__name__} {getattr(error, 'sqlstate', None) or ''}".strip()

"""Hears what the writers notify, and finds out within a second when it no longer does.

Half-open TCP and a pooler in transaction mode are silently deaf. So a beat is sent at start and with each heartbeat,
and notifications count as lost when it doesn't come in time. It is sent on another connection than the one that
listens: what a connection tells itself comes back through a pooler too, as long as nobody else needs the server
connection.
"""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Final, Protocol

import psycopg
from psycopg.errors import FeatureNotSupported, InsufficientPrivilege, ReadOnlySqlTransaction, UndefinedFunction
from structlog.typing import FilteringBoundLogger

from service.entities.errors import StorageUnavailable
from service.pkg.log_throttle import LogThrottle
from service.pkg.tx import ignore
from service.repo.connection import BoundedAsyncConnection
from service.repo.connection_errors import what_failed
from service.repo.notifications import parse
from service.repo.reads import DATABASE, Tables
from service.usecases.floors import UNKNOWN

RETRY_SECONDS: Final = 0.2
"""Between two attempts to connect; a deaf connection is found, replaced and its cache emptied within a second."""
RETRY_DEAF_SECONDS: Final = 5.0
"""The longest wait where notifications have never come: it is no passing trouble, and each attempt costs two
connections."""
SAY_EVERY_SECONDS: Final = 30.0
LAST_READ_SECONDS: Final = 0.02
POSITION: Final = "(pg_current_wal_insert_lsn() - '0/0')::bigint"
"""All that has been committed was so before this position of the server's log."""
BEAT: Final = "SELECT pg_notify(%s, %s), {position}"


@dataclass(frozen=True, slots=True)
class ListenerCallbacks:
    """What the listener tells, on the event loop; none of it may block."""

    listening: Callable[[int], None]
    """What is stored from now on is heard; what was stored before, up to this position, may have been missed."""
    reached: Callable[[int], None]
    """All that was heard until now had been committed before this position."""
    proven: Callable[[float], None]
    """All that was notified before this moment of time.monotonic() has been heard."""
    heard: Callable[[list[str], list[str]], None]
    """Ids of orders that are new, and of those that changed."""
    lost: Callable[[bool], None]
    """What is stored is perhaps not heard; told again and again. Whether the database can be read at this time."""
    deaf: Callable[[], None]
    """Notifications don't come although everything answers: that won't pass by itself."""


class Reads(Protocol):
    async def tables(self) -> Tables:
        """Tell which tables are read. Raises StorageUnavailable, and DatabaseUnfit."""

    async def replace_connections(self) -> None:
        """Read on connections that are made from now on."""


class HeartbeatTimeout(Exception):
    """The beat did not come in time."""


class WrongDatabase(Exception):
    """The listening connection leads to another database than the reading ones."""


class Listener:
    """For one event loop. `dsn` must lead to the primary itself; `heartbeat` and `connect_timeout` are seconds."""

    def __init__(
        self,
        dsn: str,
        reads: Reads,
        ears: ListenerCallbacks,
        log: FilteringBoundLogger,
        *,
        heartbeat: float,
        connect_timeout: float,
    ) -> None:
        self._dsn = dsn
        self._reads = reads
        self._ears = ears
        self._log = log
        self._heartbeat = heartbeat
        self._patience = heartbeat / 2  # at the end of a heartbeat a loss is at most one and a half of them old
        self._connect_timeout = connect_timeout
        self._own_channel = f"orders_heartbeat_{secrets.token_hex(8)}"
        self._tables: Tables | None = None
        self._beats = 0
        self._deaf_in_a_row = 0
        self._seldom = LogThrottle(SAY_EVERY_SECONDS)
        self._lost = asyncio.Event()
        self._lost.set()
        self._was_proven = False
        self.is_proven = False

    async def run(self) -> None:
        """Listen until cancelled, whatever happens to the connections. Raises DatabaseUnfit."""
        while True:
            try:
                await self._listen()
            except (psycopg.Error, StorageUnavailable, OSError, TimeoutError, HeartbeatTimeout, WrongDatabase) as error:
                was_proven = self.is_proven
                self._lose(error)
            if not was_proven:  # else at once
                await asyncio.sleep(min(RETRY_SECONDS * 2**self._deaf_in_a_row, RETRY_DEAF_SECONDS))

    async def watch(self) -> None:
        """As long as nothing is heard, tell again and again whether the database can be read; until cancelled."""
        asked: asyncio.Task[Tables] | None = None
        while True:
            await self._lost.wait()
            if asked is None or asked.done():
                asked = asyncio.create_task(self._reads.tables())
                asked.add_done_callback(_succeeded)
            await asyncio.wait({asked}, timeout=self._patience)
            can_read = asked.done() and _succeeded(asked)
            if not self.is_proven:
                self._ears.lost(can_read)
            await asyncio.sleep(self._patience)

    async def _listen(self) -> None:
        """Connect and listen. Raises one of the errors that mean a loss."""
        async with AsyncExitStack() as stack:
            ear = await self._connect(stack)  # first: why it fails is told here, and not by a pool that timed out
            # Asked once: half-open connections for reading must not keep this one from being replaced.
            tables = self._tables = self._tables or await self._reads.tables()
            mouth = await self._connect(stack)
            mouth.add_notify_handler(ignore)
            await self._require_same(ear, tables)
            if self._was_proven:  # what cut the listener off may have left the readers' connections half-open
                self._was_proven = False
                await self._reads.replace_connections()
            await ear.execute(f"LISTEN {tables.channel}; LISTEN {self._own_channel}")
            # From here on the ear asks for nothing: a pooler would lend it a server connection that heard something.
            beat = BEAT.format(position=await self._position(mouth))
            while True:
                await self._beat(ear, mouth, beat, tables.channel)

    async def _connect(self, stack: AsyncExitStack) -> BoundedAsyncConnection:
        async with asyncio.timeout(self._connect_timeout):
            connection = await BoundedAsyncConnection.connect(
                self._dsn, autocommit=True, application_name="orders-listener", prepare_threshold=None
            )
        stack.push_async_callback(_close, connection)
        connection.deadline = self._patience
        return connection

    async def _require_same(self, ear: BoundedAsyncConnection, tables: Tables) -> None:
        row = await (await ear.execute(f"SELECT {DATABASE}")).fetchone()
        if row != (tables.database,):
            raise WrongDatabase

    async def _position(self, mouth: BoundedAsyncConnection) -> str:
        """Return the expression for the log's position; there are services that don't tell it."""
        try:
            await mouth.execute(f"SELECT {POSITION}")
        except (FeatureNotSupported, InsufficientPrivilege, UndefinedFunction):
            return str(UNKNOWN)
        return POSITION

    async def _beat(self, ear: BoundedAsyncConnection, mouth: BoundedAsyncConnection, beat: str, channel: str) -> None:
        """Prove that notifications arrive, then hear them until the next beat is due. Raises Deaf."""
        began = monotonic()
        self._beats += 1
        told = await (await mouth.execute(beat.encode(), [self._own_channel, str(self._beats)])).fetchone()
        position = int(told[1]) if told else UNKNOWN
        self._ears.reached(position)
        if not await self._has_come(ear, channel, str(self._beats), began + self._patience):
            raise HeartbeatTimeout
        self._prove(began, position)
        while (left := began + self._heartbeat - monotonic()) > 0:
            await self._read(ear, channel, left)

    async def _has_come(self, ear: BoundedAsyncConnection, channel: str, beat: str, deadline: float) -> bool:
        """Return whether this beat arrives before the deadline."""
        while (left := deadline - monotonic()) > 0:
            if beat in await self._read(ear, channel, left):
                return True
        # A busy event loop may see the deadline pass before it reads what arrived in time.
        return beat in await self._read(ear, channel, LAST_READ_SECONDS)

    async def _read(self, ear: BoundedAsyncConnection, channel: str, seconds: float) -> list[str]:
        """Pass on what arrives next within these seconds; return the beats among it."""
        beats = []
        # Without a break: psycopg drops what else came with the notification that it would leave the loop at.
        async for notify in ear.notifies(timeout=seconds, stop_after=1):
            if notify.channel == channel:
                self._pass_on(notify.payload)
            else:
                beats.append(notify.payload)
        return beats

    def _pass_on(self, payload: str) -> None:
        notification = parse(payload)
        if notification:
            self._ears.heard(notification.new, notification.changed)

    def _prove(self, moment: float, position: int) -> None:
        if not self.is_proven:
            self._ears.listening(position)
            self._log.info("notifications arrive")
            self._seldom = LogThrottle(SAY_EVERY_SECONDS)  # so that the next loss is told at once
        self.is_proven = True
        self._deaf_in_a_row = 0
        self._lost.clear()
        self._ears.proven(moment)

    def _lose(self, error: Exception) -> None:
        """Tell it, and log it now and then."""
        self._deaf_in_a_row = (
            self._deaf_in_a_row + 1 if isinstance(error, HeartbeatTimeout) and not self.is_proven else 0
        )
        self._was_proven |= self.is_proven
        self.is_proven = False
        self._lost.set()
        if self._deaf_in_a_row > 1:
            self._ears.deaf()
        if self._seldom.is_due("notifications don't arrive"):
            self._log.warning("notifications don't arrive", reason=_reason(error))


def _succeeded(asked: "asyncio.Task[Tables]") -> bool:
    return not asked.cancelled() and not asked.exception()


async def _close(connection: BoundedAsyncConnection) -> None:
    with suppress(psycopg.Error):
        await connection.close()


def _reason(error: Exception) -> str:
    """Say it without the driver's text."""
    match error:
        case HeartbeatTimeout():
            return (
                "the heartbeat did not come; LISTEN needs a direct connection (postgres.listen_dsn), not a pooler. "
                "Until then every order is read from PostgreSQL"
            )
        case WrongDatabase():
            return "postgres.listen_dsn leads to another database than postgres.dsn"
        case ReadOnlySqlTransaction():
            return "LISTEN needs the primary (postgres.listen_dsn), and this is a standby"
        case StorageUnavailable():
            return error.problem
        case psycopg.OperationalError() if not error.sqlstate:
            return what_failed(error)
    return f"{type(error).__name__} {getattr(error, 'sqlstate', None) or ''}".strip()

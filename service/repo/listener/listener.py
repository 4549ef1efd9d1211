"""Receives the notifications of one server, and detects within a second when they stop arriving.

A half-open TCP connection, or a pooler in transaction mode, drops notifications without an error. So a heartbeat is
notified at start and at every interval, and a heartbeat that does not arrive in time counts as a disconnect. It is sent
from a second connection: through a pooler, a connection may receive its own notifications although others' are
lost.
"""

import asyncio
from contextlib import AsyncExitStack
from itertools import count
from time import monotonic
from typing import Final, Protocol
from uuid import uuid4

import psycopg
from psycopg.errors import FeatureNotSupported, InsufficientPrivilege, ReadOnlySqlTransaction, UndefinedFunction
from structlog.typing import FilteringBoundLogger

from service.errors import StorageUnavailable
from service.pkg.log_throttle import LOG_INTERVAL_SECONDS, LogThrottle
from service.pkg.network import os_error_phrase
from service.repo.connection import NEVER_TIME_OUT_IDLE, BoundedAsyncConnection, ignore_notify
from service.repo.connection_errors import CONNECTION_FAILED, address
from service.repo.conninfo import Conninfo
from service.repo.listener.callbacks import ListenerCallbacks
from service.repo.listener.state import ListenerLifecycle, ListenerState
from service.repo.notifications import FREE_QUEUE, parse
from service.repo.scope import DATABASE, Identity
from service.repo.translate import translate
from service.usecases.minimum_lsn import UNKNOWN_LSN

LAST_READ_SECONDS: Final = 0.02
"""Timeout of the last read for a heartbeat, after its deadline."""
CURRENT_LSN: Final = "(pg_current_wal_insert_lsn() - '0/0')::bigint"
"""Greater than the LSN of everything committed so far."""
HEARTBEAT: Final = "SELECT pg_notify(%s, %s), {lsn}"
"""Sends a notification to this listener, and returns an LSN."""


class ReadingConnections(Protocol):
    async def identity(self) -> Identity:
        """Return what identifies the tables that are read. Raises StorageUnavailable and CommandFailed."""

    async def replace_connections(self) -> None:
        """Open new connections for all later reads."""


class _HeartbeatTimeout(Exception):
    """A heartbeat did not arrive in time."""


class _WrongDatabase(Exception):
    """The listening connection leads to the wrong database. The text gives the reason."""


_ListenError = psycopg.Error | OSError | StorageUnavailable | _HeartbeatTimeout | _WrongDatabase


class Listener:
    """Belongs to one event loop. `conninfo` must lead to a primary itself. `heartbeat` is in seconds."""

    def __init__(
        self,
        conninfo: Conninfo,
        reads: ReadingConnections,
        callbacks: ListenerCallbacks,
        log: FilteringBoundLogger,
        *,
        heartbeat: float,
    ) -> None:
        self._conninfo = conninfo
        self.server = address(conninfo.dsn)
        self._reads = reads
        self._callbacks = callbacks
        self._log = log
        self._heartbeat_seconds = heartbeat
        self._timeout_seconds = heartbeat / 2  # so that a loss is detected within one and a half heartbeats
        self._heartbeat_channel = f"orders_heartbeat_{uuid4().hex}"
        self._identity: Identity | None = None
        self._heartbeats = count()
        self._lifecycle = ListenerLifecycle()
        self._log_throttle = LogThrottle(LOG_INTERVAL_SECONDS)

    @property
    def is_verified(self) -> bool:
        """Whether notifications arrive."""
        return self._lifecycle.state is ListenerState.VERIFIED

    async def run(self) -> None:
        """Listen until canceled, and reconnect after every failure. Raises CommandFailed or InvalidSettings."""
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError, StorageUnavailable, _HeartbeatTimeout, _WrongDatabase) as error:
                await asyncio.sleep(self._on_failure(error))

    async def _listen(self) -> None:
        """Connect and receive notifications until an error."""
        async with AsyncExitStack() as stack:
            listening = await self._connect(stack)  # before the reads: a pool that timed out does not give the cause
            # Queried once: half-open connections for reading must not keep this one from being replaced.
            identity = self._identity = self._identity or await self._reads.identity()
            notifying = await self._connect(stack)
            notifying.add_notify_handler(ignore_notify)
            await self._require_database(listening, identity)
            if self._lifecycle.state is ListenerState.LOST:
                await self._reads.replace_connections()
                self._lifecycle.on_readers_replaced()
            await listening.execute(f"LISTEN {identity.channel}; LISTEN {self._heartbeat_channel}; {FREE_QUEUE}")
            # No more statements on this connection: a pooler would run them on a server connection that may have
            # received notifications.
            heartbeat = HEARTBEAT.format(lsn=await self._lsn_expression(notifying))
            while True:
                await self._beat(listening, notifying, heartbeat, identity.channel)

    async def _connect(self, stack: AsyncExitStack) -> BoundedAsyncConnection:
        async with asyncio.timeout(self._conninfo.connect_timeout):
            connection = await BoundedAsyncConnection.connect(
                await self._conninfo.resolve_async(),
                autocommit=True,
                application_name="orders-listener",
                prepare_threshold=None,
            )
        stack.push_async_callback(connection.close)
        connection.call_timeout = self._timeout_seconds
        await connection.execute(NEVER_TIME_OUT_IDLE, [str(connection.info.backend_pid)])
        return connection

    async def _require_database(self, listening: BoundedAsyncConnection, identity: Identity) -> None:
        [(database,)] = await (await listening.execute(f"SELECT {DATABASE}")).fetchall()
        if problem := self._callbacks.database_problem(database, identity):
            raise _WrongDatabase(problem)

    async def _lsn_expression(self, notifying: BoundedAsyncConnection) -> str:
        """Return the SQL of the current LSN, or of UNKNOWN_LSN: some managed services do not provide the function."""
        try:
            await notifying.execute(f"SELECT {CURRENT_LSN}")
        except (FeatureNotSupported, InsufficientPrivilege, UndefinedFunction):
            return str(UNKNOWN_LSN)
        return CURRENT_LSN

    async def _beat(
        self, listening: BoundedAsyncConnection, notifying: BoundedAsyncConnection, heartbeat: str, channel: str
    ) -> None:
        """Verify that notifications arrive, then receive them until the next heartbeat. Raises _HeartbeatTimeout."""
        began = monotonic()
        number = str(next(self._heartbeats))
        sent = await notifying.execute(heartbeat.encode(), [self._heartbeat_channel, number])
        [(_, current_lsn)] = await sent.fetchall()
        lsn = int(current_lsn)  # UNKNOWN_LSN is a numeric
        self._callbacks.on_lsn(lsn)
        if not await self._receives(number, listening, channel, began + self._timeout_seconds):
            raise _HeartbeatTimeout
        self._on_verified(began, lsn)
        while (left := began + self._heartbeat_seconds - monotonic()) > 0:
            await self._read(listening, channel, left)

    async def _receives(self, number: str, listening: BoundedAsyncConnection, channel: str, deadline: float) -> bool:
        """Return whether this heartbeat arrives before the deadline."""
        while (left := deadline - monotonic()) > 0:
            if number in await self._read(listening, channel, left):
                return True
        # On a busy event loop the deadline can pass before a heartbeat that arrived in time is read.
        return number in await self._read(listening, channel, LAST_READ_SECONDS)

    async def _read(self, listening: BoundedAsyncConnection, channel: str, seconds: float) -> list[str]:
        """Pass on the notifications of the next read within these seconds; return the heartbeats among them."""
        heartbeats = []
        # No `break`: psycopg would drop the remaining notifications of the same read.
        async for notify in listening.notifies(timeout=seconds, stop_after=1):
            if notify.channel == channel:
                self._on_notify(notify.payload)
            else:
                heartbeats.append(notify.payload)
        return heartbeats

    def _on_notify(self, payload: str) -> None:
        notification = parse(payload)
        if notification:
            self._callbacks.on_notify(notification)

    def _on_verified(self, at: float, lsn: int) -> None:
        if self._lifecycle.on_heartbeat():
            self._callbacks.on_listen(lsn)
            self._log.info("receiving notifications", server=self.server)
            self._log_throttle = LogThrottle(LOG_INTERVAL_SECONDS)  # so that the next disconnect is logged immediately
        self._callbacks.on_verified(at)

    def _on_failure(self, error: _ListenError) -> float:
        """Return the seconds until the next attempt. Log at most once per LOG_INTERVAL_SECONDS."""
        delay_seconds = self._lifecycle.on_failure(has_timed_out=isinstance(error, _HeartbeatTimeout))
        self._callbacks.on_disconnect()
        if self._lifecycle.has_repeated_timeouts:
            self._callbacks.on_repeated_timeouts()
        if self._log_throttle.is_due("not receiving notifications"):
            self._log.warning("not receiving notifications", server=self.server, problem=_problem(error))
        return delay_seconds


def _problem(error: _ListenError) -> str:
    """Return the cause without the driver's text, which may hold personal data."""
    match error:
        case _HeartbeatTimeout():
            return (
                "the heartbeat notification timed out: LISTEN needs a direct connection, not a pooler; set "
                "ORDERS_POSTGRES__LISTEN_DSN. Until then every order is read from PostgreSQL"
            )
        case ReadOnlySqlTransaction():
            return "PostgreSQL is read-only (a standby): LISTEN needs the primary; set ORDERS_POSTGRES__LISTEN_DSN"
        case psycopg.Error():
            return str(translate(error))
        case OSError():
            return f"{CONNECTION_FAILED}: {os_error_phrase(error)}"
        case StorageUnavailable() | _WrongDatabase():
            return str(error)

"""Combines several listeners into one, which is verified only while all of them are."""

import asyncio
from functools import partial
from typing import Final

from service.errors import InvalidSettings
from service.repo.listener.callbacks import ListenerCallbacks, MergedCallbacks
from service.repo.scope import Identity
from service.usecases.minimum_lsn import UNKNOWN_LSN

OTHER_DATABASE: Final = "ORDERS_POSTGRES__LISTEN_DSN leads to another database than ORDERS_POSTGRES__DSN"
NO_DATABASE: Final = "no entry of ORDERS_POSTGRES__LISTEN_DSN leads to the database of ORDERS_POSTGRES__DSN"
SAME_DATABASE: Final = "two entries of ORDERS_POSTGRES__LISTEN_DSN lead to the same database"
STANDBY: Final = (
    "ORDERS_POSTGRES__DSN: must lead to a primary if ORDERS_POSTGRES__LISTEN_DSN lists several servers. Nothing that a "
    "standby returns could be cached, because WAL positions of several servers cannot be compared"
)


class MergedListeners:
    """Merges the callbacks of `count` listeners. Belongs to one event loop."""

    def __init__(self, count: int, callbacks: MergedCallbacks) -> None:
        self._count = count
        self._callbacks = callbacks
        self._verified = set[int]()
        self._verified_at: dict[int, float] = {}
        """Verifications of this round, which ends when each listener is verified again."""
        self._databases: dict[int, str] = {}
        self.disconnected = asyncio.Event()
        """Set while a listener is not verified."""
        self.disconnected.set()

    @property
    def is_verified(self) -> bool:
        return len(self._verified) == self._count

    def callbacks_of(self, number: int) -> ListenerCallbacks:
        """Return the callbacks of one listener. Numbers start at 0."""
        return ListenerCallbacks(
            on_listen=partial(self._on_listen, number),
            on_lsn=self._on_lsn,
            on_verified=partial(self._on_verified, number),
            on_notify=self._callbacks.on_notify,
            on_disconnect=partial(self._on_disconnect, number),
            on_repeated_timeouts=self._callbacks.on_repeated_timeouts,
            database_problem=partial(self._database_problem, number),
        )

    def _on_listen(self, number: int, lsn: int) -> None:
        self._verified.add(number)
        if self.is_verified:
            self.disconnected.clear()
            self._callbacks.on_listen(self._comparable(lsn))

    def _on_lsn(self, lsn: int) -> None:
        self._callbacks.on_lsn(self._comparable(lsn))

    def _comparable(self, lsn: int) -> int:
        """Return the LSN, or UNKNOWN_LSN with several servers: then nothing that a standby returns is cached."""
        return lsn if self._count == 1 else UNKNOWN_LSN

    def _on_verified(self, number: int, at: float) -> None:
        self._verified_at[number] = at
        if self.is_verified and len(self._verified_at) == self._count:
            self._callbacks.on_verified(min(self._verified_at.values()))
            self._verified_at.clear()

    def _on_disconnect(self, number: int) -> None:
        self._verified.discard(number)
        self._databases.pop(number, None)
        self.disconnected.set()

    def _database_problem(self, number: int, database: str, read: Identity) -> str | None:
        """Return a problem if two listeners share a database, or if none listens to the one that is read.

        Raises InvalidSettings if several listeners would need to compare their LSNs with a standby's.
        """
        if read.is_standby and self._count > 1:
            raise InvalidSettings(STANDBY)
        others = {each for at, each in self._databases.items() if at != number}
        if database in others:
            return SAME_DATABASE
        if len(others) == self._count - 1 and read.database not in others | {database}:
            return NO_DATABASE if others else OTHER_DATABASE
        self._databases[number] = database
        return None

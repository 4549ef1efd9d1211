"""Asynchronous connections on which no call waits for ever, and databases that nothing starts on."""

from contextlib import suppress
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import Buffer, PQGen
from psycopg.adapt import Loader
from psycopg.pq import TransactionStatus
from psycopg.types.string import ByteaBinaryLoader

from service.entities.errors import DatabaseUnfit
from service.pkg.tx import GRACE

UTF8: Final = "UTF8"
_POLL: Final = 0.1
_Result = TypeVar("_Result")
Connection = TypeVar("Connection", bound=psycopg.Connection[Any])


def require_utf8(connection: Connection) -> Connection:
    """Return it, or close it and raise DatabaseUnfit where its database has no code for some character of an order."""
    encoding = connection.info.parameter_status("server_encoding") or ""  # told to every client as it connects
    if encoding != UTF8:
        connection.close()
        raise DatabaseUnfit(encoding)
    return connection


class BoundedAsyncConnection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """No call waits longer than `deadline` seconds for the server; psycopg.OperationalError then."""

    deadline: float = 30
    may_be_behind = False
    """Whether a standby may answer."""

    async def wait(  # psycopg's interface
        self,
        gen: PQGen[_Result],
        interval: float = _POLL,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> _Result:
        return await super().wait(gen, interval, self.deadline if timeout is None else timeout)

    @property
    def is_overdue(self) -> bool:
        """Whether the last call ended by the deadline: the server still works on it, or is gone without a word."""
        return bool(self.info.transaction_status is TransactionStatus.ACTIVE)

    async def abandon(self) -> None:
        """Ask the server to cancel what it does, for at most GRACE seconds, and close."""
        with suppress(psycopg.Error):
            await self.cancel_safe(timeout=GRACE)
        await self.close()


def hand_text_over_as_bytes(connection: psycopg.AsyncConnection[Any]) -> None:
    """Leave text columns as they come: UTF-8."""
    connection.adapters.register_loader("text", ByteaBinaryLoader)
    connection.adapters.register_loader("text", _AsItComes)


class _AsItComes(Loader):
    """Of a text column in a text result."""

    def load(self, data: Buffer) -> bytes:
        return bytes(data)

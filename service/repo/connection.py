"""Asynchronous connections with a timeout for every call, and the check of the database's encoding."""

from contextlib import suppress
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import Buffer, PQGen
from psycopg.adapt import Loader
from psycopg.pq import TransactionStatus
from psycopg.types.string import ByteaBinaryLoader

from service.errors import UnsupportedEncoding
from service.pkg.tx import GRACE_SECONDS

UTF8: Final = "UTF8"
_POLL_INTERVAL_SECONDS: Final = 0.1
_Result = TypeVar("_Result")
Connection = TypeVar("Connection", bound=psycopg.Connection[Any])


def require_utf8(connection: Connection) -> Connection:
    """Return the connection. If the encoding of its database is not UTF8, close it and raise UnsupportedEncoding."""
    encoding = connection.info.parameter_status("server_encoding") or ""  # reported by the server on connecting
    if encoding != UTF8:
        connection.close()
        raise UnsupportedEncoding(encoding)
    return connection


class BoundedAsyncConnection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """A call that waits for more than `call_timeout` seconds raises psycopg.OperationalError."""

    call_timeout: float = 30
    may_be_behind = False
    """Whether queries may run on a standby."""

    async def wait(  # psycopg's interface
        self,
        gen: PQGen[_Result],
        interval: float = _POLL_INTERVAL_SECONDS,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> _Result:
        return await super().wait(gen, interval, self.call_timeout if timeout is None else timeout)

    @property
    def has_timed_out(self) -> bool:
        """Whether the last call timed out: the server is still executing it, or does not respond."""
        return bool(self.info.transaction_status is TransactionStatus.ACTIVE)

    async def abandon(self) -> None:
        """Cancel the running query, for at most GRACE_SECONDS, and close."""
        with suppress(psycopg.Error):
            await self.cancel_safe(timeout=GRACE_SECONDS)
        await self.close()


def load_text_as_bytes(connection: psycopg.AsyncConnection[Any]) -> None:
    """Return text columns as UTF-8 bytes instead of str."""
    connection.adapters.register_loader("text", ByteaBinaryLoader)
    connection.adapters.register_loader("text", _BytesLoader)


class _BytesLoader(Loader):
    """For text columns of results in text format."""

    def load(self, data: Buffer) -> bytes:
        return bytes(data)

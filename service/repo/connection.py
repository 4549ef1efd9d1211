"""Asynchronous connections on which no call waits for ever."""

from contextlib import suppress
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from psycopg.types.string import ByteaBinaryLoader

from service.pkg.tx import GRACE

_POLL: Final = 0.1
_Result = TypeVar("_Result")


class BoundedAsyncConnection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """No call waits longer than `deadline` seconds for the server; psycopg.OperationalError then."""

    deadline: float = 30

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
    """Leave the text columns of binary results as they come: UTF-8."""
    connection.adapters.register_loader("text", ByteaBinaryLoader)

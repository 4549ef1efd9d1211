"""Reads the summaries of orders that were notified, and never older ones than the notifications."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Final

from service.errors import StorageUnavailable
from service.usecases.ports.reads import OrderReader, ReadResult

SUMMARIES_RETRY_INTERVAL_SECONDS: Final = 0.2
MAX_STANDBY_LAG_SECONDS: Final = 10.0
"""How long to wait for a standby to replay a change; after that, what it returns is good enough for an event."""


class CurrentSummaries:
    """`has_replayed`: see MinimumLsn.allows."""

    def __init__(self, reader: OrderReader, has_replayed: Callable[[str, int | None], bool]) -> None:
        self._reader = reader
        self._has_replayed = has_replayed

    async def read(self, uids: Sequence[str]) -> Mapping[str, bytes]:
        """Return the summaries of the orders that are stored. Retries while PostgreSQL is unreachable."""
        began = monotonic()
        while True:
            results = await self._try(uids)
            if results is not None and (self._is_current(results) or monotonic() > began + MAX_STANDBY_LAG_SECONDS):
                return {uid: result.document for uid, result in results.items() if result.document is not None}
            await asyncio.sleep(SUMMARIES_RETRY_INTERVAL_SECONDS)

    async def _try(self, uids: Sequence[str]) -> Mapping[str, ReadResult] | None:
        try:
            return await self._reader.summaries(uids)
        except StorageUnavailable:
            return None

    def _is_current(self, results: Mapping[str, ReadResult]) -> bool:
        return all(self._has_replayed(uid, result.replay_lsn) for uid, result in results.items())

"""The ids of new orders. Each value of the sequence reserves a block of ids, so a batch needs few values."""

from typing import Any, Final

import psycopg

from service.repo.columns import ID_BLOCK

NEXT_BLOCKS: Final = "SELECT nextval('orders_id_seq') FROM generate_series(1, %s)"
"""Reserves this many blocks; returns the first id of each."""


class Ids:
    """The reserved ids of one writer, which keeps the rest of a block for its next batch. Not thread-safe."""

    def __init__(self) -> None:
        self._reserved: list[int] = []

    def take(self, cursor: psycopg.Cursor[Any], count: int) -> list[int]:
        """Return `count` ids that no order has. Raises psycopg.Error."""
        blocks = -((len(self._reserved) - count) // ID_BLOCK)
        if blocks > 0:
            for (first,) in cursor.execute(NEXT_BLOCKS, [blocks]):
                self._reserved += range(first, first + ID_BLOCK)
        taken, self._reserved = self._reserved[:count], self._reserved[count:]
        return taken

    def discard(self) -> None:
        """Forget the reserved ids, because other orders may have them: a crash or a restore can reset the sequence."""
        self._reserved = []

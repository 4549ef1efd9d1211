"""The ids of new orders. Each value of the sequence reserves a block of ids, so a batch needs few values."""

from typing import Any, Final

import psycopg

from service.repo.columns import ID_BLOCK

NEXT_BLOCKS: Final = "SELECT nextval('orders_id_seq') FROM generate_series(1, %s)"
"""Reserves this many blocks; returns the first id of each."""
SKIP_BLOCKS: Final = "SELECT count(nextval('orders_id_seq')) FROM generate_series(1, %s)"
"""Reserves this many blocks, which stay unused. Needs no other privilege on the sequence than NEXT_BLOCKS."""
GREATEST_ID: Final = "SELECT max(id) FROM orders WHERE id BETWEEN %s AND %s"
"""The greatest id in use, or NULL. Uses the primary key."""
MAX_SKIPPED_BLOCKS: Final = 1_000_000
"""So that skipping takes about a second. More is skipped after the next failure."""
_LAST_OF_NODE: Final = 2**48 - 1
"""The last id of a node's range, in its lower bits: Citus gives the sequence another range of values on each node."""


class Ids:
    """The reserved ids of one writer, which keeps the rest of a block for its next batch. Not thread-safe."""

    def __init__(self) -> None:
        self._reserved: list[int] = []
        self._may_be_used = False
        """Whether the sequence may be behind the table."""

    def take(self, cursor: psycopg.Cursor[Any], count: int) -> list[int]:
        """Return `count` ids that no order has. Raises psycopg.Error."""
        blocks = -((len(self._reserved) - count) // ID_BLOCK)
        if blocks > 0:
            if self._may_be_used:
                self._skip_used(cursor)
            for (first,) in cursor.execute(NEXT_BLOCKS, [blocks]):
                self._reserved += range(first, first + ID_BLOCK)
        taken, self._reserved = self._reserved[:count], self._reserved[count:]
        return taken

    def discard(self) -> None:
        """Forget the reserved ids, because other orders may have them: a crash or a restore can reset the sequence.

        Logical replication does not copy sequences: after a switchover, the next ids are in use, too.
        """
        self._reserved = []
        self._may_be_used = True

    def _skip_used(self, cursor: psycopg.Cursor[Any]) -> None:
        [(first,)] = cursor.execute(NEXT_BLOCKS, [1])
        [(greatest,)] = cursor.execute(GREATEST_ID, [first, first | _LAST_OF_NODE])
        if greatest is not None:
            cursor.execute(SKIP_BLOCKS, [min((greatest - first) // ID_BLOCK, MAX_SKIPPED_BLOCKS)])
        self._may_be_used = False

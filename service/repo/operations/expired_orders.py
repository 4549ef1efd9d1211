"""Deletes orders that were created before a cutoff, oldest first, in small transactions.

Each transaction takes the erasures' lock in exclusive mode. It therefore cannot deadlock with a writer or an erasure,
and it deletes all orders of writers that checked the retention earlier. Writers wait for one transaction at a time.
"""

from datetime import datetime
from functools import partial
from typing import Final

from service.pkg.timestamps import from_microseconds
from service.repo.connection import BoundedConnection
from service.repo.document import CREATED_US
from service.repo.notifications import NOTIFY, payload_lines
from service.repo.operations.erasures import exclusively
from service.repo.transactions import Transactions
from service.repo.translate import translated
from service.repo.writer.history import DELETE_HISTORIES
from service.repo.writer.updates import DELETE_CHILDREN
from service.usecases.retention import EARLIEST

OLDEST_EXPIRED: Final = f"""\
SELECT o.id, o.shard, o.order_uid, {CREATED_US} FROM orders o
WHERE o.date_created >= %(start)s AND o.date_created < %(cutoff)s
ORDER BY o.date_created LIMIT %(limit)s"""
"""The next orders to delete. Uses orders_newest_idx, from where the previous transaction ended: before it, the index
has entries of deleted orders until VACUUM removes them."""
COUNT_EXPIRED: Final = "SELECT count(*) FROM orders WHERE date_created < %(cutoff)s"
"""Counts the orders to delete. Uses orders_newest_idx."""
DELETE_BY_ID: Final = """\
DELETE FROM orders o USING unnest(%(ids)s::bigint[], %(shards)s::smallint[]) k (id, shard)
WHERE o.id = k.id AND o.shard = k.shard"""
"""Deletes orders after their other rows, so that the cascade of each order finds no row. Uses the primary key."""


class PostgresExpiredOrders:
    """Implements usecases.ports.operations.ExpiredOrders. Not thread-safe.

    `writers` is the application name of the writers' sessions.
    """

    def __init__(self, transactions: Transactions, writers: str, cutoff: datetime) -> None:
        self._transactions = transactions
        self._writers = writers
        self._cutoff = cutoff
        self._start = EARLIEST

    def count(self) -> int:
        with translated(), self._transactions.begin() as connection:
            ((count,),) = connection.execute(COUNT_EXPIRED, {"cutoff": self._cutoff}).fetchall()
            return int(count)

    def delete_oldest(self, limit: int) -> int:
        """Also notify the readers. Waits for running batches, for at most twice the lock timeout."""
        with translated():
            deleted, self._start = exclusively(self._transactions, self._writers, partial(self._delete, limit))
        return deleted

    def close(self) -> None:
        self._transactions.close()

    def _delete(self, limit: int, connection: BoundedConnection) -> tuple[int, datetime]:
        """Return the number of deleted orders, and when the newest of them was created."""
        among = {"start": self._start, "cutoff": self._cutoff, "limit": limit}
        found = connection.execute(OLDEST_EXPIRED, among).fetchall()
        if not found:
            return 0, self._start
        ids, shards, uids, created_us = zip(*found, strict=True)
        keys = {"ids": [*ids], "shards": [*shards]}
        for statement in (*DELETE_CHILDREN, DELETE_HISTORIES, DELETE_BY_ID):
            connection.execute(statement, keys)
        connection.execute(NOTIFY, [payload_lines([], uids)])
        return len(uids), from_microseconds(created_us[-1])

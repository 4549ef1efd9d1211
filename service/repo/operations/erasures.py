"""Erases orders on demand: deletes them, and keeps writers from storing them again until the erasure is removed.

Writers hold an advisory lock in shared mode, an erasure in exclusive mode. A writer that checked for erasures before
the erasure has therefore committed before the erasure deletes. A writer that checks afterwards finds the erasure.

The lock is local to a server. On Citus, an erasure is therefore committed first, waits for the running batches of each
node, and deletes then.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from psycopg.errors import LockNotAvailable

from service.errors import StorageUnavailable
from service.repo.connection import BoundedConnection
from service.repo.notifications import NOTIFY, payload_lines
from service.repo.transactions import Transactions
from service.repo.translate import translated
from service.repo.writer.erased import ERASED_AMONG, EXCLUSIVE_ERASURE_LOCK, HASH, IS_CITUS, WAIT_FOR_ALL_NODES
from service.usecases.ports.operations import ErasureStatus

INSERT_ERASED: Final = f"""\
INSERT INTO erased (order_uid_hash) SELECT {HASH} FROM unnest(%s::text[]) uid
ON CONFLICT (order_uid_hash) DO UPDATE SET erased_at = excluded.erased_at"""
"""Records erasures; a repeated one renews `erased_at`. Uses the primary key."""

DELETE_ORDERS: Final = "DELETE FROM orders WHERE order_uid = ANY(%s) RETURNING order_uid"
"""Deletes the orders to erase, and by cascade their child rows. Uses the unique key of `order_uid`."""

STORED_AMONG: Final = "SELECT order_uid FROM orders WHERE order_uid = ANY(%s)"
"""Which of these orders are stored. Uses the unique key of `order_uid`."""

DELETE_ERASED: Final = f"DELETE FROM erased WHERE order_uid_hash IN (SELECT {HASH} FROM unnest(%s::text[]) uid)"
"""Undoes erasures. Uses the primary key."""

_OLD_ERASURES: Final = "FROM erased WHERE erased_at < now() - %s * interval '1 second'"
COUNT_OLD_ERASURES: Final = f"SELECT count(*) {_OLD_ERASURES}"
"""Counts what DELETE_OLD_ERASURES would delete. Needs no index either."""
DELETE_OLD_ERASURES: Final = f"DELETE {_OLD_ERASURES}"
"""Forgets erasures older than this many seconds. Needs no index: the table is small."""

_Result = TypeVar("_Result")


class Erasures:
    """Implements usecases.ports.operations.ErasureStore. Not thread-safe. Every method raises StorageError.

    `writers` is the application name of the writers' sessions.
    """

    def __init__(self, transactions: Transactions, writers: str) -> None:
        self._transactions = transactions
        self._writers = writers

    def erase(self, uids: Sequence[str]) -> set[str]:
        """Delete these orders, record their erasure, and notify the readers; return those that were stored.

        Waits for running batches, for at most twice the lock timeout.
        """
        with translated():
            self._exclude_writers_of_other_nodes(uids)
            return exclusively(self._transactions, self._writers, partial(self._erase, uids))

    def status(self, uids: Sequence[str]) -> ErasureStatus:
        """Return which of these orders are stored, and which are erased."""
        with translated(), self._transactions.begin() as connection:
            stored = {uid for (uid,) in connection.execute(STORED_AMONG, [[*uids]])}
            erased = {uid for (uid,) in connection.execute(ERASED_AMONG, {"uids": ",".join(uids)})}
        return ErasureStatus(stored, erased)

    def undo(self, uids: Sequence[str]) -> None:
        """Allow these orders to be stored again. Does not restore them."""
        with translated(), self._transactions.begin() as connection:
            connection.execute(DELETE_ERASED, [[*uids]])

    def forget_older_than(self, seconds: float) -> int:
        """Remove erasures older than this; return how many."""
        with translated(), self._transactions.begin() as connection:
            return connection.execute(DELETE_OLD_ERASURES, [seconds]).rowcount

    def count_older_than(self, seconds: float) -> int:
        """Return how many erasures `forget_older_than` would remove."""
        with translated(), self._transactions.begin() as connection:
            ((count,),) = connection.execute(COUNT_OLD_ERASURES, [seconds]).fetchall()
            return int(count)

    def close(self) -> None:
        self._transactions.close()

    def _exclude_writers_of_other_nodes(self, uids: Sequence[str]) -> None:
        """On Citus, commit the erasure, and wait for the batches that checked for erasures before."""
        with self._transactions.begin() as connection:
            if connection.execute(IS_CITUS).fetchone() != (True,):
                return
            connection.execute(INSERT_ERASED, [[*uids]])
        with self._transactions.begin() as connection:
            if failed := connection.execute(WAIT_FOR_ALL_NODES).fetchall():
                nodes = ", ".join(str(node) for (node,) in failed)
                raise StorageUnavailable(f"could not wait for the batches of the Citus nodes {nodes}")

    @staticmethod
    def _erase(uids: Sequence[str], connection: BoundedConnection) -> set[str]:
        connection.execute(INSERT_ERASED, [[*uids]])
        removed = {uid for (uid,) in connection.execute(DELETE_ORDERS, [[*uids]])}
        # All of them, because a reader may have cached a row that was deleted by hand. As "changed", which earlier
        # releases know.
        connection.execute(NOTIFY, [payload_lines([], uids)])
        return removed


def exclusively(transactions: Transactions, writers: str, change: Callable[[BoundedConnection], _Result]) -> _Result:
    """Run `change` in a transaction that overlaps with no writer's and no other exclusive one.

    Waits for running batches, for at most twice the lock timeout. Raises psycopg.Error.
    """
    try:
        with transactions.begin(EXCLUSIVE_ERASURE_LOCK) as connection:
            return change(connection)
    except LockNotAvailable:
        transactions.terminate_frozen(writers)
    with transactions.begin(EXCLUSIVE_ERASURE_LOCK) as connection:
        return change(connection)

"""Orders that were erased on demand: gone from the tables, and refused by every writer until that is forgotten.

Writers share a lock, and an erasure has it alone. So an order whose writer asked before the erasure is in the table by
the time it deletes, and a writer that asks later is told that the order is erased.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

import psycopg
from psycopg.errors import LockNotAvailable

from service.pkg.tx import Transactions
from service.repo.notifications import NOTIFY, payloads
from service.repo.scope import lock_key
from service.repo.translate import translate

LOCK_KEY: Final = lock_key("erasures")
"""Of the advisory lock between writers and erasures."""
SHARE: Final = f"SELECT pg_advisory_xact_lock_shared({LOCK_KEY})"
"""For writers, before they ask which orders are erased."""
EXCLUDE: Final = f"SELECT pg_advisory_xact_lock({LOCK_KEY})"
"""Waits for the batches that are being written, and has others wait."""

_HASH: Final = "sha256(convert_to(uid, 'UTF8'))"

ERASED_AMONG: Final = f"""\
SELECT uid FROM unnest(string_to_array(%(ids)s, ',')) uid
WHERE EXISTS (SELECT FROM erased) AND {_HASH} IN (SELECT order_uid_hash FROM erased)"""
"""Which of these ids, joined by commas, are erased; while none is, nothing is hashed. Served by the primary key."""

REFUSE: Final = f"""\
INSERT INTO erased (order_uid_hash) SELECT {_HASH} FROM unnest(%s::text[]) uid
ON CONFLICT (order_uid_hash) DO UPDATE SET erased_at = now()"""
"""An erasure that is asked for again counts from then on."""

DELETE: Final = "DELETE FROM orders WHERE order_uid = ANY(%s) RETURNING order_uid"
"""Its child rows go with it."""

STORED_AMONG: Final = "SELECT order_uid FROM orders WHERE order_uid = ANY(%s)"

UNDO: Final = f"DELETE FROM erased WHERE order_uid_hash IN (SELECT {_HASH} FROM unnest(%s::text[]) uid)"

_OLD: Final = "FROM erased WHERE erased_at < now() - %s * interval '1 second'"
COUNT_OLD: Final = f"SELECT count(*) {_OLD}"
FORGET: Final = f"DELETE {_OLD}"
"""Erasures older than so many seconds; without an index, for the table is small."""


class ErasureStatus(NamedTuple):
    """Of some orders: those that are stored, and those that are erased. An earlier release may store an erased one."""

    stored: set[str]
    erased: set[str]


class Erasures:
    """For one thread. `writers` is the application name of those that share the lock. All of it raises StorageError."""

    def __init__(self, transactions: Transactions, writers: str) -> None:
        self._transactions = transactions
        self._writers = writers

    def erase(self, uids: Sequence[str]) -> set[str]:
        """Delete these orders, keep them away, and tell the readers; return those that were stored.

        Blocks until the batches that are being written are done, for the lock timeout at most, or twice that.
        """
        with _translated():
            try:
                return self._erase(uids)
            except LockNotAvailable:
                self._transactions.end_frozen(self._writers)
                return self._erase(uids)

    def standing(self, uids: Sequence[str]) -> ErasureStatus:
        """Return how these orders stand; changes nothing."""
        with _translated(), self._transactions.begin() as connection:
            stored = {uid for (uid,) in connection.execute(STORED_AMONG, [[*uids]])}
            erased = {uid for (uid,) in connection.execute(ERASED_AMONG, {"ids": ",".join(uids)})}
        return ErasureStatus(stored, erased)

    def undo(self, uids: Sequence[str]) -> None:
        """Let these orders be stored again; what was deleted of them stays deleted."""
        with _translated(), self._transactions.begin() as connection:
            connection.execute(UNDO, [[*uids]])

    def forget(self, older_than: float) -> int:
        """Let orders be stored again that were erased more than so many seconds ago; return how many."""
        with _translated(), self._transactions.begin() as connection:
            return connection.execute(FORGET, [older_than]).rowcount

    def older_than(self, seconds: float) -> int:
        """Return how many would be forgotten."""
        with _translated(), self._transactions.begin() as connection:
            ((count,),) = connection.execute(COUNT_OLD, [seconds]).fetchall()
            return int(count)

    def close(self) -> None:
        self._transactions.close()

    def _erase(self, uids: Sequence[str]) -> set[str]:
        with self._transactions.begin(EXCLUDE) as connection:
            connection.execute(REFUSE, [[*uids]])
            removed = {uid for (uid,) in connection.execute(DELETE, [[*uids]])}
            # Of all of them, for a reader may hold what somebody deleted by hand. An earlier release knows "changed".
            connection.execute(NOTIFY, [[*payloads([], uids)]])
        return removed


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise translate(error) from error

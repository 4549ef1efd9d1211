"""The consumer's writes: a batch of orders in one transaction. The greatest version of an order wins.

New orders are inserted by COPY. A stored order is compared: an equal document only updates its version, a different one
replaces it as a whole. An update names the version that was read: if another writer has changed it since, the
transaction fails, and is retried. Erased orders are not stored again. Rows are written sorted by `order_uid`, stored
orders before new ones, so that concurrent writers do not deadlock.

An order that is older than the retention is not inserted. If it is stored, a greater version still replaces it, so
that readers never get an older version; `orders prune` deletes it.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, NamedTuple

import psycopg

from service.entities.changes import changed_fields
from service.entities.order import Order
from service.entities.version import CompareBy, RecordCoordinates, VersionedOrder
from service.errors import OrderRejected
from service.repo.notifications import NOTIFY_STORED, payload_lines
from service.repo.transactions import Transactions
from service.repo.translate import translate
from service.repo.writer.erased import SHARE_ERASURE_LOCK
from service.repo.writer.history import record_replaced
from service.repo.writer.ids import Ids
from service.repo.writer.rows import PreparedOrder, copy_rows
from service.repo.writer.stored_orders import Cursor, StoredVersion, stored_documents, stored_versions
from service.repo.writer.table_copies import TableCopies
from service.repo.writer.updates import Update, replace, update_versions
from service.usecases.ports.ingest import StoreCounts
from service.usecases.retention import KEEP_FOREVER, RetentionPolicy

LOCK_NOT_AVAILABLE: Final = "55P03"
REQUIRE_STANDBYS: Final = """\
SELECT pg_logical_emit_message(true, 'orders', '') WHERE current_setting('synchronous_standby_names') <> ''"""
"""Makes the commit wait for synchronous standbys although it writes no row. Without them it does nothing."""
MAX_PREPARED_ITEMS: Final = 100
"""Orders with more items are not prepared ahead of the write: two batches of them would take too much memory."""
_JSON_ESCAPE: Final = b"\\"
"""JSON without a backslash has texts without backslashes and control characters, which COPY would escape."""


class WritePlan(NamedTuple):
    """What to do with the orders of one transaction."""

    new: list[VersionedOrder]
    replaced: list[Update]
    unchanged: list[Update]
    """Equal documents with a greater version."""
    redelivered: int
    """Orders that are stored with this version already. They are reported as unchanged."""
    stale: int
    erased: int
    expired: int


class PostgresOrderStore:
    """Implements usecases.ports.ingest.OrderStore. Not thread-safe."""

    def __init__(
        self,
        transactions: Transactions,
        compare_by: CompareBy = "timestamp",
        retention: RetentionPolicy = KEEP_FOREVER,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        max_versions: int = 20,
    ) -> None:
        self._transactions = transactions
        self._compare_by: CompareBy = compare_by
        self._retention = retention
        self._now = now
        self._max_versions = max_versions
        self._ids = Ids()

    @staticmethod
    def prepare(order: Order, source: RecordCoordinates, document: bytes | None) -> VersionedOrder:
        if len(order.items) > MAX_PREPARED_ITEMS:
            return VersionedOrder(order, source)
        is_plain_text = document is not None and _JSON_ESCAPE not in document
        return PreparedOrder(order, source, copy_rows(order, source, is_plain_text=is_plain_text))

    def store(self, orders: Sequence[VersionedOrder]) -> StoreCounts:
        newest, duplicates = self._newest(orders)
        copies = TableCopies()
        try:
            with self._transactions.begin(SHARE_ERASURE_LOCK) as connection:
                return duplicates + self._write(connection.cursor(), newest, copies)
        except psycopg.Error as error:
            self._ids.discard()
            failure = translate(error, copies.rejected_index(error, orders))
            if not isinstance(failure, OrderRejected):
                self._transactions.close()  # or after a failover it stays connected to the demoted server
            if error.sqlstate == LOCK_NOT_AVAILABLE:
                with suppress(psycopg.Error):  # the next attempt reports it
                    self._transactions.terminate_frozen()
            raise failure from error

    def close(self) -> None:
        self._transactions.close()

    def _newest(self, orders: Sequence[VersionedOrder]) -> tuple[dict[str, VersionedOrder], StoreCounts]:
        """Return the greatest version of each order, sorted by uid, and the counts of the others."""
        newest = {versioned.order.order_uid: versioned for versioned in orders}
        if len(newest) == len(orders):
            return _sorted(newest), StoreCounts()
        newest.clear()
        unchanged = stale = 0
        for versioned in orders:
            uid = versioned.order.order_uid
            other = newest.get(uid)
            if other is None or versioned.source.is_newer_than(other.source, self._compare_by):
                newest[uid] = versioned
            if other is not None:
                unchanged += other.order == versioned.order
                stale += other.order != versioned.order
        return _sorted(newest), StoreCounts(unchanged=unchanged, stale=stale)

    def _write(self, cursor: Cursor, newest: dict[str, VersionedOrder], copies: TableCopies) -> StoreCounts:
        plan = self._plan(cursor, newest)
        if plan.redelivered:  # an attempt whose answer was lost may have stored them on the primary only
            cursor.execute(REQUIRE_STANDBYS)
        if updates := plan.unchanged + plan.replaced:
            update_versions(cursor, updates)
        if plan.replaced:
            if self._max_versions:
                record_replaced(cursor, plan.replaced, self._max_versions)
            replace(cursor, plan.replaced)
        new = [*zip(self._ids.take(cursor, len(plan.new)), plan.new, strict=True)]
        copies.copy(cursor, new, [(update.stored.id, update.new) for update in plan.replaced])
        _notify(cursor, plan)
        return StoreCounts(
            new=len(plan.new),
            replaced=len(plan.replaced),
            unchanged=len(plan.unchanged) + plan.redelivered,
            stale=plan.stale,
            erased=plan.erased,
            expired=plan.expired,
        )

    def _plan(self, cursor: Cursor, newest: dict[str, VersionedOrder]) -> WritePlan:
        """Compare with the stored versions. Stored versions only grow, so an order that is older stays older."""
        stored, erased = stored_versions(cursor, newest)
        absent = [versioned for uid, versioned in newest.items() if uid not in stored and uid not in erased]
        cutoff = self._retention.cutoff(self._now())
        new = [versioned for versioned in absent if versioned.order.date_created >= cutoff]
        redelivered, updates = 0, list[Update]()
        for uid, found in stored.items():
            if found.source == newest[uid].source:
                redelivered += 1
            elif self._is_newer(newest[uid], found):
                updates.append(Update(newest[uid], found))
        unchanged, replaced = self._compare(cursor, updates) if updates else ([], [])
        return WritePlan(
            new=new,
            replaced=replaced,
            unchanged=unchanged,
            redelivered=redelivered,
            stale=len(stored) - len(unchanged) - len(replaced) - redelivered,
            erased=len(erased),
            expired=len(absent) - len(new),
        )

    def _compare(self, cursor: Cursor, updates: Sequence[Update]) -> tuple[list[Update], list[Update]]:
        """Return the updates with an equal document, and with a different one. Leave out those that are now stale."""
        documents = stored_documents(cursor, [update.new.order.order_uid for update in updates])
        unchanged: list[Update] = []
        replaced: list[Update] = []
        for new, probed, _ in updates:
            stored, document = documents.get(new.order.order_uid, (probed, None))
            if self._is_newer(new, stored):
                if document == new.order:
                    unchanged.append(Update(new, stored))
                else:
                    replaced.append(Update(new, stored, self._changed_fields(document, new.order)))
        return unchanged, replaced

    def _changed_fields(self, stored: Order | None, new: Order) -> list[str] | None:
        return changed_fields(stored, new) if stored is not None and self._max_versions else None

    def _is_newer(self, new: VersionedOrder, stored: StoredVersion) -> bool:
        return new.source.is_newer_than(stored.source, self._compare_by)


def _sorted(orders: dict[str, VersionedOrder]) -> dict[str, VersionedOrder]:
    return {uid: orders[uid] for uid in sorted(orders)}


def _notify(cursor: Cursor, plan: WritePlan) -> None:
    new = {versioned.order.order_uid: versioned.source for versioned in plan.new}
    changed = {update.new.order.order_uid: update.new.source for update in plan.replaced}
    if lines := payload_lines([*new], [*changed], new | changed):
        cursor.execute(NOTIFY_STORED, [lines])

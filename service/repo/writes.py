"""The consumer's writes: a batch of orders in one transaction. The greatest version of an order wins.

New orders are inserted by COPY. A stored order is locked and compared: an equal document only updates its version, a
different one replaces it as a whole. Erased orders are not stored again. Rows are written sorted by id, stored orders
before new ones, so that concurrent writers do not deadlock.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec
import psycopg

from service.entities.order import Order
from service.entities.version import CompareBy, RecordPosition, VersionedOrder
from service.errors import OrderRejected, StorageUnavailable
from service.repo.columns import DELIVERIES, ITEMS, ORDERS, PAYMENTS
from service.repo.document import DOCUMENT, FROM_ORDERS
from service.repo.erasures import ERASED_AMONG, SHARE_ERASURE_LOCK
from service.repo.notifications import NOTIFY, payloads
from service.repo.rows import CopyRows, blocks, copy_rows, copy_statement, record_time
from service.repo.transactions import Transactions
from service.repo.translate import copy_line, translate
from service.usecases.ports import Stored

LOCK_NOT_AVAILABLE: Final = "55P03"
MAX_PREPARED_ITEMS: Final = 100
"""Orders with more items are not prepared ahead of the write: two batches of them would take too much memory."""
PREPARED_BLOCKS: Final = 4
"""Blocks of a table that are prepared while the server processes the previous table."""

_JSON_ESCAPE: Final = b"\\"
"""JSON without a backslash has texts without backslashes and control characters, which COPY would escape."""

Cursor = psycopg.Cursor[tuple[Any, ...]]

COPY: Final = {table.name: copy_statement(table) for table in (ORDERS, DELIVERIES, PAYMENTS, ITEMS)}

_SCALAR_FIELDS: Final = [name for name in Order.__struct_fields__ if name not in {"delivery", "payment", "items"}]

_VERSION: Final = "(extract(epoch FROM source_timestamp) * 1000)::bigint, source_partition, source_offset, source_topic"

VERSIONS_OF: Final = f"SELECT order_uid, {_VERSION} FROM orders WHERE order_uid = ANY(string_to_array(%(ids)s, ','))"
"""The versions of the stored orders among these comma-separated ids. Uses the primary key."""

VERSIONS_AND_ERASED: Final = f"{VERSIONS_OF} UNION ALL SELECT uid, NULL, NULL, NULL, NULL FROM ({ERASED_AMONG}) e"
"""The same, and a row of NULLs for each id that was erased."""

LOCK: Final = f"{VERSIONS_OF} ORDER BY order_uid FOR UPDATE"
"""The versions of the stored orders, locked until the transaction ends."""

STORED_DOCUMENTS: Final = f"SELECT o.order_uid, {DOCUMENT} {FROM_ORDERS} WHERE o.order_uid = ANY(%s)"

UPDATE_VERSION: Final = """\
UPDATE orders o
SET source_topic = n.source_topic, source_partition = n.source_partition,
    source_offset = n.source_offset, source_timestamp = n.source_timestamp
FROM json_populate_recordset(NULL::orders, %s::json) n
WHERE o.order_uid = n.order_uid"""
"""For an equal document with a greater version: no child row is written."""

REPLACE: Final = f"""\
UPDATE orders o
SET {", ".join(f"{name} = n.{name}" for name in ORDERS.columns)}, stored_at = now()
FROM json_populate_recordset(NULL::orders, %s::json) n
WHERE o.order_uid = n.order_uid"""
"""For a different document with a greater version: its child rows are deleted and copied again."""

DELETE_CHILDREN: Final = {
    table.name: f"DELETE FROM {table.name} WHERE order_uid = ANY(%s)" for table in (DELIVERIES, PAYMENTS, ITEMS)
}
"""Deletes the child rows of replaced orders. Uses the primary keys."""


class WritePlan(NamedTuple):
    """What to do with the orders of one transaction."""

    new: list[VersionedOrder]
    replaced: list[VersionedOrder]
    unchanged: list[VersionedOrder]
    """Equal documents with a greater version."""
    redelivered: int
    """Orders that are stored with this version already. They are reported as unchanged."""
    stale: int
    erased: int


class PostgresOrderStore:
    """Implements usecases.ports.OrderStore. For one thread."""

    def __init__(self, transactions: Transactions, compare_by: CompareBy = "timestamp") -> None:
        self._transactions = transactions
        self._compare_by: CompareBy = compare_by

    @staticmethod
    def prepare(order: Order, source: RecordPosition, document: bytes) -> VersionedOrder:
        if len(order.items) > MAX_PREPARED_ITEMS:
            return VersionedOrder(order, source)
        return VersionedOrder(order, source, copy_rows(order, source, needs_no_escaping=_JSON_ESCAPE not in document))

    def store(self, orders: Sequence[VersionedOrder]) -> Stored:
        newest, duplicates = self._newest(orders)
        copied: dict[str, list[VersionedOrder]] = {}
        try:
            with self._transactions.begin(SHARE_ERASURE_LOCK) as connection:
                return duplicates + self._write(connection.cursor(), newest, copied)
        except psycopg.Error as error:
            failure = translate(error)
            if isinstance(failure, OrderRejected):
                failure.position = _position(error, copied, orders)
            else:
                self._transactions.close()  # or after a failover it stays connected to the demoted server
            if error.sqlstate == LOCK_NOT_AVAILABLE:
                with suppress(psycopg.Error):  # the next attempt reports it
                    self._transactions.terminate_frozen()
            raise failure from error

    def close(self) -> None:
        self._transactions.close()

    def _newest(self, orders: Sequence[VersionedOrder]) -> tuple[dict[str, VersionedOrder], Stored]:
        """Return the greatest version of each id, sorted by id, and the counts of the others."""
        newest = {versioned.order.order_uid: versioned for versioned in orders}
        if len(newest) == len(orders):
            return dict(sorted(newest.items())), Stored()
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
        return dict(sorted(newest.items())), Stored(unchanged=unchanged, stale=stale)

    def _write(
        self, cursor: Cursor, newest: dict[str, VersionedOrder], copied: dict[str, list[VersionedOrder]]
    ) -> Stored:
        plan = self._plan(cursor, newest)
        if plan.unchanged:
            cursor.execute(UPDATE_VERSION, [_json_rows(plan.unchanged)])
        if plan.replaced:
            _replace(cursor, plan.replaced)
        _copy(cursor, plan, copied)
        _notify(cursor, plan)
        return Stored(
            new=len(plan.new),
            replaced=len(plan.replaced),
            unchanged=len(plan.unchanged) + plan.redelivered,
            stale=plan.stale,
            erased=plan.erased,
        )

    def _plan(self, cursor: Cursor, newest: dict[str, VersionedOrder]) -> WritePlan:
        """Compare with the stored versions. Stored versions only grow, so an order that is older stays older."""
        stored, erased = _stored_versions(cursor, newest)
        new = [versioned for uid, versioned in newest.items() if uid not in stored and uid not in erased]
        candidates = {uid: newest[uid] for uid in stored if self._is_newer(newest[uid], stored[uid])}
        redelivered = sum(stored[uid].version == newest[uid].source.version for uid in stored)
        older = self._lock_older(cursor, candidates) if candidates else {}
        unchanged = [newest[uid] for uid, document in older.items() if document == newest[uid].order]
        replaced = [newest[uid] for uid, document in older.items() if document != newest[uid].order]
        stale = len(stored) - len(older) - redelivered
        return WritePlan(new, replaced, unchanged, redelivered, stale, len(erased))

    def _lock_older(self, cursor: Cursor, candidates: dict[str, VersionedOrder]) -> dict[str, Order | None]:
        """Lock the candidates' rows; return the stored documents of those that are still older than the candidates."""
        locked = _lock(cursor, candidates)
        if len(locked) < len(candidates):
            raise StorageUnavailable("an order was deleted while it was being replaced")
        older = [uid for uid in sorted(locked) if self._is_newer(candidates[uid], locked[uid])]
        documents = {uid: _decode(text) for uid, text in cursor.execute(STORED_DOCUMENTS, [older])}
        return {uid: documents.get(uid) for uid in older}

    def _is_newer(self, versioned: VersionedOrder, stored: RecordPosition) -> bool:
        return versioned.source.is_newer_than(stored, self._compare_by)


def _stored_versions(cursor: Cursor, ids: Iterable[str]) -> tuple[dict[str, RecordPosition], set[str]]:
    """Return the versions of the stored orders, and the ids that were erased, even if they are stored."""
    found = cursor.execute(VERSIONS_AND_ERASED, {"ids": ",".join(ids)}).fetchall()
    erased = {uid for uid, timestamp, *_ in found if timestamp is None}
    return {uid: RecordPosition(*version) for uid, *version in found if uid not in erased}, erased


def _lock(cursor: Cursor, ids: Iterable[str]) -> dict[str, RecordPosition]:
    return {uid: RecordPosition(*version) for uid, *version in cursor.execute(LOCK, {"ids": ",".join(ids)})}


def _decode(text: str) -> Order | None:
    """Return a stored document, or None if this release would not accept it (an earlier one did)."""
    try:
        return msgspec.json.decode(text, type=Order)
    except msgspec.ValidationError:
        return None


def _json_rows(orders: Iterable[VersionedOrder]) -> str:
    """Return rows of the table `orders` as a JSON array for json_populate_recordset."""
    return msgspec.json.encode(
        [
            {
                **{name: getattr(order, name) for name in _SCALAR_FIELDS},
                "source_topic": source.topic,
                "source_partition": source.partition,
                "source_offset": source.offset,
                "source_timestamp": record_time(source.timestamp_ms),
            }
            for order, source, _ in orders
        ]
    ).decode()


def _replace(cursor: Cursor, replaced: Sequence[VersionedOrder]) -> None:
    cursor.execute(REPLACE, [_json_rows(replaced)])
    ids = [versioned.order.order_uid for versioned in replaced]
    for statement in DELETE_CHILDREN.values():
        cursor.execute(statement, [ids])


def _copy(cursor: Cursor, plan: WritePlan, copied: dict[str, list[VersionedOrder]]) -> None:
    """Copy new orders, and the child rows of new and replaced ones. `copied` records the orders of each COPY.

    The first blocks of a table are prepared while the server processes the previous table.
    """
    tables = _tables(plan)
    upcoming = next(tables, None)
    while upcoming:
        table, orders, table_blocks = upcoming
        copied[table] = orders
        with cursor.copy(COPY[table]) as copy:
            for block in table_blocks:
                copy.write(block)
            upcoming = next(tables, None)


def _tables(plan: WritePlan) -> Iterator[tuple[str, list[VersionedOrder], Iterable[bytes]]]:
    """Yield the name of each table that has rows to copy, their orders, and their blocks (the first ones prepared)."""
    with_children = plan.new
    if plan.replaced:
        with_children = sorted(plan.new + plan.replaced, key=lambda versioned: versioned.order.order_uid)
    for table in COPY:
        orders = plan.new if table == ORDERS.name else with_children
        if orders:
            table_blocks = blocks(map(attrgetter(table), map(_copy_rows, orders)))
            yield table, orders, chain(list(islice(table_blocks, PREPARED_BLOCKS)), table_blocks)


def _copy_rows(versioned: VersionedOrder) -> CopyRows:
    prepared = versioned.prepared
    return prepared if isinstance(prepared, CopyRows) else copy_rows(versioned.order, versioned.source)


def _notify(cursor: Cursor, plan: WritePlan) -> None:
    new = [versioned.order.order_uid for versioned in plan.new]
    changed = [versioned.order.order_uid for versioned in plan.replaced]
    if messages := list(payloads(new, changed)):
        cursor.execute(NOTIFY, [messages])


def _position(
    error: psycopg.Error, copied: dict[str, list[VersionedOrder]], orders: Sequence[VersionedOrder]
) -> int | None:
    """Return the index in `orders` of the one whose line COPY failed on."""
    failed = copy_line(error)
    if failed is None or failed[0] not in copied:
        return None
    table, line = failed
    by_line = copied[table]
    if table == ITEMS.name:
        by_line = [versioned for versioned in by_line for _ in versioned.order.items]
    rejected = by_line[line - 1] if line <= len(by_line) else None
    return next((index for index, versioned in enumerate(orders) if versioned is rejected), None)

"""The consumer's writes: a batch of orders in one transaction, the greatest version of each winning.

New orders go in by COPY. An order that is already there is locked and compared: the same document only moves its
version, another one replaces it whole. One that was erased stays away. Orders go in sorted by id, first those that are
there and then the new ones, so that writers never wait for each other in a circle.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec
import psycopg

from service.entities.errors import OrderRefused, StorageUnavailable
from service.entities.order import Order
from service.entities.version import RecordPosition, VersionedOrder, VersionOrder
from service.pkg.tx import Transactions
from service.repo.columns import DELIVERIES, ITEMS, ORDERS, PAYMENTS
from service.repo.document import DOCUMENT, FROM_ORDERS
from service.repo.erasures import ERASED_AMONG, SHARE
from service.repo.notifications import NOTIFY, payloads
from service.repo.rows import CopyRows, blocks, copy_statement, lines, record_time
from service.repo.translate import copy_line, translate
from service.usecases.ports import Stored

LOCK_NOT_AVAILABLE: Final = "55P03"
MANY_ITEMS: Final = 100
"""Orders of more items are not prepared: two batches of them, as documents, objects and lines, are too much memory."""
BLOCKS_AHEAD: Final = 4
"""Made of a table while the server takes in the one before it; a block has BLOCK_CHARACTERS, or one larger order."""

Cursor = psycopg.Cursor[tuple[Any, ...]]

COPY: Final = {table.name: copy_statement(table) for table in (ORDERS, DELIVERIES, PAYMENTS, ITEMS)}

_SCALARS: Final = [name for name in Order.__struct_fields__ if name not in {"delivery", "payment", "items"}]

_VERSION: Final = "(extract(epoch FROM source_timestamp) * 1000)::bigint, source_partition, source_offset, source_topic"

VERSIONS_OF: Final = f"SELECT order_uid, {_VERSION} FROM orders WHERE order_uid = ANY(string_to_array(%(ids)s, ','))"
"""Which of these ids, joined by commas, are there, and in which version; served by the primary key."""

PROBE: Final = f"{VERSIONS_OF} UNION ALL SELECT uid, NULL, NULL, NULL, NULL FROM ({ERASED_AMONG}) e"
"""The same, and without a version which of them were erased."""

LOCK: Final = f"{VERSIONS_OF} ORDER BY order_uid FOR UPDATE"
"""Which are there, and nobody else changes them until this transaction ends."""

HELD_DOCUMENTS: Final = f"SELECT o.order_uid, {DOCUMENT} {FROM_ORDERS} WHERE o.order_uid = ANY(%s)"
"""The stored documents of orders that are held."""

UPDATE_VERSION: Final = """\
UPDATE orders o
SET source_topic = n.source_topic, source_partition = n.source_partition,
    source_offset = n.source_offset, source_timestamp = n.source_timestamp
FROM json_populate_recordset(NULL::orders, %s::json) n
WHERE o.order_uid = n.order_uid"""
"""The same document with a greater version: no child row is touched."""

REPLACE: Final = f"""\
UPDATE orders o
SET {", ".join(f"{name} = n.{name}" for name in ORDERS.columns)}, stored_at = now()
FROM json_populate_recordset(NULL::orders, %s::json) n
WHERE o.order_uid = n.order_uid"""
"""Another document with a greater version; its child rows are deleted and copied anew."""

DELETE_CHILDREN: Final = {
    table.name: f"DELETE FROM {table.name} WHERE order_uid = ANY(%s)" for table in (DELIVERIES, PAYMENTS, ITEMS)
}
"""The child rows of replaced orders; served by each primary key."""


class WritePlan(NamedTuple):
    """The orders of one transaction, sorted by what has to be done with them."""

    new: list[VersionedOrder]
    replaced: list[VersionedOrder]
    moved: list[VersionedOrder]
    redelivered: int
    stale: int
    erased: int


class OrderWriter:
    """Implements usecases.ports.OrderStore. For one thread."""

    def __init__(self, transactions: Transactions, version_order: VersionOrder = "timestamp") -> None:
        self._transactions = transactions
        self._version_order: VersionOrder = version_order

    @staticmethod
    def prepare(order: Order, source: RecordPosition, *, needs_no_escaping: bool) -> VersionedOrder:
        ahead = len(order.items) <= MANY_ITEMS
        return VersionedOrder(
            order, source, lines(order, source, needs_no_escaping=needs_no_escaping) if ahead else None
        )

    def store(self, orders: Sequence[VersionedOrder]) -> Stored:
        newest, surpassed = self._newest(orders)
        copied: dict[str, list[VersionedOrder]] = {}
        try:
            with self._transactions.begin(SHARE) as connection:
                return surpassed + self._write(connection.cursor(), newest, copied)
        except psycopg.Error as error:
            failure = translate(error)
            if isinstance(failure, OrderRefused):
                failure.position = _position(error, copied, orders)
            else:
                self._transactions.close()  # or we keep to a server that was demoted: a new one may lead elsewhere
            if error.sqlstate == LOCK_NOT_AVAILABLE:
                with suppress(psycopg.Error):  # the next attempt tells
                    self._transactions.end_frozen()
            raise failure from error

    def close(self) -> None:
        self._transactions.close()

    def _newest(self, orders: Sequence[VersionedOrder]) -> tuple[dict[str, VersionedOrder], Stored]:
        """Return the greatest version of each id, sorted by id, and how the others count."""
        newest = {versioned.order.order_uid: versioned for versioned in orders}
        if len(newest) == len(orders):
            return dict(sorted(newest.items())), Stored()
        newest.clear()
        unchanged = stale = 0
        for versioned in orders:
            uid = versioned.order.order_uid
            other = newest.get(uid)
            if other is None or versioned.source.is_newer_than(other.source, self._version_order):
                newest[uid] = versioned
            if other is not None:
                unchanged += other.order == versioned.order
                stale += other.order != versioned.order
        return dict(sorted(newest.items())), Stored(unchanged=unchanged, stale=stale)

    def _write(
        self, cursor: Cursor, newest: dict[str, VersionedOrder], copied: dict[str, list[VersionedOrder]]
    ) -> Stored:
        plan = self._plan(cursor, newest)
        if plan.moved:
            cursor.execute(UPDATE_VERSION, [_records(plan.moved)])
        if plan.replaced:
            _replace(cursor, plan.replaced)
        _copy(cursor, plan, copied)
        _notify(cursor, plan)
        return Stored(
            new=len(plan.new),
            replaced=len(plan.replaced),
            unchanged=len(plan.moved) + plan.redelivered,
            stale=plan.stale,
            erased=plan.erased,
        )

    def _plan(self, cursor: Cursor, newest: dict[str, VersionedOrder]) -> WritePlan:
        """Compare with what is stored. Versions only grow, so that what is older than the probe saw stays older."""
        stored, erased = _probe(cursor, newest)
        new = [versioned for uid, versioned in newest.items() if uid not in stored and uid not in erased]
        candidates = {uid: newest[uid] for uid in stored if self._is_newer(newest[uid], stored[uid])}
        redelivered = sum(stored[uid][:3] == newest[uid].source[:3] for uid in stored)
        held = self._held(cursor, candidates) if candidates else {}
        moved = [newest[uid] for uid, document in held.items() if document == newest[uid].order]
        replaced = [newest[uid] for uid, document in held.items() if document != newest[uid].order]
        stale = len(stored) - len(held) - redelivered
        return WritePlan(new, replaced, moved, redelivered, stale, len(erased))

    def _held(self, cursor: Cursor, candidates: dict[str, VersionedOrder]) -> dict[str, Order | None]:
        """Lock the candidates' rows and return the stored documents of those that are still older."""
        locked = _locked(cursor, candidates)
        if len(locked) < len(candidates):
            raise StorageUnavailable("an order was deleted while it was being replaced")
        older = [uid for uid in sorted(locked) if self._is_newer(candidates[uid], locked[uid])]
        documents = {uid: _read(text) for uid, text in cursor.execute(HELD_DOCUMENTS, [older])}
        return {uid: documents.get(uid) for uid in older}

    def _is_newer(self, versioned: VersionedOrder, stored: RecordPosition) -> bool:
        return versioned.source.is_newer_than(stored, self._version_order)


def _probe(cursor: Cursor, ids: Iterable[str]) -> tuple[dict[str, RecordPosition], set[str]]:
    """Return the versions of those that are there, and which were erased, whatever is there of them."""
    found = cursor.execute(PROBE, {"ids": ",".join(ids)}).fetchall()
    erased = {uid for uid, timestamp, *_ in found if timestamp is None}
    return {uid: RecordPosition(*version) for uid, *version in found if uid not in erased}, erased


def _locked(cursor: Cursor, ids: Iterable[str]) -> dict[str, RecordPosition]:
    return {uid: RecordPosition(*version) for uid, *version in cursor.execute(LOCK, {"ids": ",".join(ids)})}


def _read(text: str) -> Order | None:
    """Return a stored document; one that an earlier release let in and this one refuses is equal to none."""
    try:
        return msgspec.json.decode(text, type=Order)
    except msgspec.ValidationError:
        return None


def _records(orders: Iterable[VersionedOrder]) -> str:
    """Return rows of the table `orders` as a JSON array for json_populate_recordset; absent ones are NULL."""
    return msgspec.json.encode(
        [
            {
                **{name: getattr(order, name) for name in _SCALARS},
                "source_topic": source.topic,
                "source_partition": source.partition,
                "source_offset": source.offset,
                "source_timestamp": record_time(source.timestamp_ms),
            }
            for order, source, _ in orders
        ]
    ).decode()


def _replace(cursor: Cursor, replaced: Sequence[VersionedOrder]) -> None:
    cursor.execute(REPLACE, [_records(replaced)])
    ids = [versioned.order.order_uid for versioned in replaced]
    for statement in DELETE_CHILDREN.values():
        cursor.execute(statement, [ids])


def _copy(cursor: Cursor, plan: WritePlan, copied: dict[str, list[VersionedOrder]]) -> None:
    """Copy new orders, and the child rows of new and replaced ones; `copied` tells whose lines a COPY was reading.

    While the server takes in one table, the first blocks of the next one are made: all, unless orders are large.
    """
    supply = _supply(plan)
    upcoming = next(supply, None)
    while upcoming:
        table, source, made = upcoming
        copied[table] = source
        with cursor.copy(COPY[table]) as copy:
            for block in made:
                copy.write(block)
            upcoming = next(supply, None)


def _supply(plan: WritePlan) -> Iterator[tuple[str, list[VersionedOrder], Iterable[bytes]]]:
    """Yield for each table with rows to copy: its name, the orders that they belong to, and the blocks.

    The first of the blocks are already made.
    """
    whole = plan.new
    if plan.replaced:
        whole = sorted(plan.new + plan.replaced, key=lambda versioned: versioned.order.order_uid)
    for table in COPY:
        source = plan.new if table == ORDERS.name else whole
        if source:
            made = blocks(map(attrgetter(table), map(_lines, source)))
            yield table, source, chain(list(islice(made, BLOCKS_AHEAD)), made)


def _lines(versioned: VersionedOrder) -> CopyRows:
    copy_rows: CopyRows | None = versioned.copy_rows
    return copy_rows or lines(versioned.order, versioned.source)


def _notify(cursor: Cursor, plan: WritePlan) -> None:
    new = [versioned.order.order_uid for versioned in plan.new]
    changed = [versioned.order.order_uid for versioned in plan.replaced]
    if messages := list(payloads(new, changed)):
        cursor.execute(NOTIFY, [messages])


def _position(
    error: psycopg.Error, copied: dict[str, list[VersionedOrder]], orders: Sequence[VersionedOrder]
) -> int | None:
    """Return the index in `orders` of the one whose line COPY stopped at."""
    stopped = copy_line(error)
    if stopped is None or stopped[0] not in copied:
        return None
    table, line = stopped
    blamed = copied[table]
    if table == ITEMS.name:
        blamed = [versioned for versioned in blamed for _ in versioned.order.items]
    culprit = blamed[line - 1] if line <= len(blamed) else None
    return next((index for index, versioned in enumerate(orders) if versioned is culprit), None)

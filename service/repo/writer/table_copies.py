"""Inserts rows by COPY, and finds the order whose row PostgreSQL has rejected."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from operator import attrgetter
from typing import Final

import psycopg

from service.entities.version import VersionedOrder
from service.repo.columns import DELIVERIES, ITEMS, ORDERS, PAYMENTS
from service.repo.translate import copy_line
from service.repo.writer.rows import CopyRows, PreparedOrder, blocks, copy_rows, copy_statement, order_key
from service.repo.writer.stored_orders import Cursor

PREPARED_BLOCKS: Final = 4
"""Blocks of a table that are prepared while the server processes the previous table."""

COPY: Final = {table.name: copy_statement(table) for table in (ORDERS, DELIVERIES, PAYMENTS, ITEMS)}

IdentifiedOrder = tuple[int, VersionedOrder]
"""An order, and its `orders.id`."""


class TableCopies:
    """The COPYs of one transaction."""

    def __init__(self) -> None:
        self._copied: dict[str, list[VersionedOrder]] = {}
        """The orders of each table's COPY, in the order of its lines."""

    def copy(self, cursor: Cursor, new: list[IdentifiedOrder], replaced: list[IdentifiedOrder]) -> None:
        """Copy new orders, and the child rows of new and replaced ones.

        The first blocks of a table are prepared while the server processes the previous table.
        """
        tables = _tables(new, replaced)
        upcoming = next(tables, None)
        while upcoming:
            table, orders, table_blocks = upcoming
            self._copied[table] = orders
            with cursor.copy(COPY[table]) as copy:
                for block in table_blocks:
                    copy.write(block)
                upcoming = next(tables, None)

    def rejected_index(self, error: psycopg.Error, orders: Sequence[VersionedOrder]) -> int | None:
        """Return the index in `orders` of the one whose line COPY failed on."""
        failed = copy_line(error)
        if failed is None or failed[0] not in self._copied:
            return None
        table, line = failed
        by_line = self._copied[table]
        if table == ITEMS.name:
            by_line = [versioned for versioned in by_line for _ in versioned.order.items]
        rejected = by_line[line - 1] if line <= len(by_line) else None
        return next((index for index, versioned in enumerate(orders) if versioned is rejected), None)


def _tables(
    new: list[IdentifiedOrder], replaced: list[IdentifiedOrder]
) -> Iterator[tuple[str, list[VersionedOrder], Iterable[bytes]]]:
    """Yield the name of each table that has rows to copy, their orders, and their blocks (the first ones prepared)."""
    inserted = with_children = _with_keys(new)
    if replaced:
        with_children = _with_keys(sorted(new + replaced, key=lambda identified: identified[1].order.order_uid))
    for table in COPY:
        orders, keys = inserted if table == ORDERS.name else with_children
        if orders:
            table_blocks = blocks(map(str.join, keys, map(attrgetter(table), map(_copy_rows, orders))))
            yield table, orders, chain(list(islice(table_blocks, PREPARED_BLOCKS)), table_blocks)


def _with_keys(identified: list[IdentifiedOrder]) -> tuple[list[VersionedOrder], list[str]]:
    return (
        [versioned for _, versioned in identified],
        [order_key(order_id, versioned.order.order_uid) for order_id, versioned in identified],
    )


def _copy_rows(versioned: VersionedOrder) -> CopyRows:
    return versioned.rows if isinstance(versioned, PreparedOrder) else copy_rows(versioned.order, versioned.source)

"""Which order PostgreSQL has rejected. That COPY inserts all rows is tests/integration/test_writes.py."""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from service.entities.version import VersionedOrder
from service.repo.writer import table_copies as module
from service.repo.writer.order_store import PostgresOrderStore
from service.repo.writer.rows import PreparedOrder, copy_rows, order_key
from service.repo.writer.table_copies import TableCopies, _copy_rows, _tables
from tests.kit.factories import SAMPLE, versioned


def rejected_index(
    error: psycopg.Error, copied: dict[str, list[VersionedOrder]], orders: Sequence[VersionedOrder]
) -> int | None:
    copies = TableCopies()
    copies._copied = copied
    return copies.rejected_index(error, orders)


def rejection(context: str) -> psycopg.Error:
    class Rejection(psycopg.DataError):
        diag: Any = SimpleNamespace(context=context)

    return Rejection()


@pytest.fixture
def orders() -> list[VersionedOrder]:
    """Four orders, with 1, 2, 3 and 4 items."""
    (item,) = SAMPLE["items"]
    return [versioned(order_uid=f"uid-{count}", items=[item] * count) for count in range(1, 5)]


@pytest.mark.parametrize("prepared_blocks", [0, 4])
def test_every_line_is_copied_however_few_blocks_are_prepared(
    orders: list[VersionedOrder], monkeypatch: pytest.MonkeyPatch, prepared_blocks: int
) -> None:
    monkeypatch.setattr(module, "PREPARED_BLOCKS", prepared_blocks)
    copied = {table: b"".join(blocks) for table, _, blocks in _tables([*enumerate(orders)], [])}
    keys = [order_key(order_id, versioned.order.order_uid) for order_id, versioned in enumerate(orders)]
    rows = [copy_rows(each.order, each.source) for each in orders]
    assert copied == {
        table: "".join(key.join(getattr(row, table)) for key, row in zip(keys, rows, strict=True)).encode()
        for table in ("orders", "deliveries", "payments", "items")
    }


def test_only_the_first_blocks_of_a_table_are_prepared(
    orders: list[VersionedOrder], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[int] = []

    def blocks(_: object) -> Iterator[bytes]:
        for number in range(9):
            prepared.append(number)
            yield b""

    monkeypatch.setattr(module, "blocks", blocks)
    next(_tables([*enumerate(orders)], []))
    assert len(prepared) == module.PREPARED_BLOCKS


def test_child_rows_are_copied_by_uid_whatever_the_ids() -> None:
    a, b, c = (versioned(order_uid=uid) for uid in "abc")
    copied = {table: orders for table, orders, _ in _tables([(1, c)], [(3, a), (2, b)])}
    assert copied == {"orders": [c], "deliveries": [a, b, c], "payments": [a, b, c], "items": [a, b, c]}


def test_the_lines_of_a_prepared_order_are_not_built_again(orders: list[VersionedOrder]) -> None:
    prepared = PostgresOrderStore.prepare(orders[0].order, orders[0].source, None)
    assert isinstance(prepared, PreparedOrder)
    assert _copy_rows(prepared) is prepared.rows
    assert _copy_rows(orders[0]) == prepared.rows


@pytest.mark.parametrize("table", ["orders", "deliveries", "payments"])
@pytest.mark.parametrize("line", [1, 2, 3, 4])
def test_a_line_of_copy_is_that_of_one_order(orders: list[VersionedOrder], table: str, line: int) -> None:
    copied = {table: orders}
    assert rejected_index(rejection(f"COPY {table}, line {line}, column x"), copied, orders) == line - 1


@pytest.mark.parametrize(
    ("line", "index"), [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (6, 2), (7, 3), (8, 3), (9, 3), (10, 3)]
)
def test_an_order_has_a_line_for_each_item(orders: list[VersionedOrder], line: int, index: int) -> None:
    assert rejected_index(rejection(f"COPY items, line {line}, column x"), {"items": orders}, orders) == index


def test_the_index_is_that_in_the_batch_not_in_the_copy(orders: list[VersionedOrder]) -> None:
    copied = {"deliveries": [orders[3], orders[1]]}
    assert rejected_index(rejection("COPY deliveries, line 1"), copied, orders) == 3


@pytest.mark.parametrize(
    "context", ["", "SQL statement", "COPY orders, line 5", "COPY items, line 1", "COPY other, line 1"]
)
def test_an_error_elsewhere_names_no_order(orders: list[VersionedOrder], context: str) -> None:
    assert rejected_index(rejection(context), {"orders": orders}, orders) is None

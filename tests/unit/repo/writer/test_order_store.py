"""Which version of an order a batch writes. That does not need PostgreSQL."""

from collections.abc import Sequence
from typing import cast

import pytest
from msgspec.json import encode
from psycopg.errors import lookup

from service.entities.version import CompareBy, VersionedOrder
from service.errors import StorageUnavailable
from service.repo.transactions import Transactions
from service.repo.writer.order_store import MAX_PREPARED_ITEMS, PostgresOrderStore
from service.repo.writer.rows import PreparedOrder, copy_rows
from service.usecases.ports.ingest import StoreCounts
from tests.kit.factories import SAMPLE, connection_settings, order_document, versioned


def newest(
    orders: Sequence[VersionedOrder], compare_by: CompareBy = "timestamp"
) -> tuple[dict[str, VersionedOrder], StoreCounts]:
    transactions = Transactions(connection_settings("host=127.0.0.1 port=1", "test"))  # connects on first use
    return PostgresOrderStore(transactions, compare_by)._newest(orders)


def test_different_orders_are_sorted_by_uid_so_that_writers_lock_in_the_same_order() -> None:
    c, a, b = (versioned(order_uid=uid) for uid in "cab")
    found, counts = newest([c, a, b])
    assert [*found.values()] == [a, b, c]
    assert counts == StoreCounts()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_greatest_version_of_an_order_is_written_wherever_it_is_in_the_batch(order: Sequence[int]) -> None:
    versions = [versioned(offset, order_uid="a", sm_id=offset) for offset in range(3)]
    found, counts = newest([versions[each] for each in order])
    assert found == {"a": versions[2]}
    assert counts == StoreCounts(stale=2)


def test_a_version_with_the_document_of_the_previous_one_counts_as_unchanged() -> None:
    first, again, other = (versioned(offset, order_uid="a", sm_id=offset // 2) for offset in range(3))
    found, counts = newest([first, again, other])
    assert found == {"a": other}
    assert counts == StoreCounts(unchanged=1, stale=1)


def test_a_redelivered_message_counts_as_unchanged() -> None:
    once, twice = (versioned(7, order_uid="a") for _ in range(2))
    found, counts = newest([once, twice, versioned(order_uid="b")])
    assert [*found] == ["a", "b"]
    assert counts == StoreCounts(unchanged=1)


@pytest.mark.parametrize(("items", "is_prepared"), [(MAX_PREPARED_ITEMS, True), (MAX_PREPARED_ITEMS + 1, False)])
def test_an_order_with_too_many_items_is_not_prepared(*, items: int, is_prepared: bool) -> None:
    many = versioned(items=SAMPLE["items"] * items)
    prepared = PostgresOrderStore.prepare(many.order, many.source, None)
    assert isinstance(prepared, PreparedOrder) == is_prepared
    assert (prepared.order, prepared.source) == (many.order, many.source)


class FailingTransactions:
    """Transactions that fail with a SQLSTATE. Records what is called then."""

    def __init__(self, state: str) -> None:
        self._state = state
        self.called: list[str] = []

    def begin(self, _: str) -> None:
        raise lookup(self._state)

    def close(self) -> None:
        self.called.append("close")

    def terminate_frozen(self) -> None:
        self.called.append("terminate frozen")


@pytest.mark.parametrize(("state", "called"), [("55P03", ["close", "terminate frozen"]), ("57P01", ["close"])])
def test_frozen_writers_are_terminated_only_after_waiting_for_a_lock(state: str, called: list[str]) -> None:
    transactions = FailingTransactions(state)
    with pytest.raises(StorageUnavailable):
        PostgresOrderStore(cast("Transactions", transactions)).store([versioned()])
    assert transactions.called == called


@pytest.mark.parametrize("entry", ["plain", "tab \t, line \n\r, backslash \\"])
@pytest.mark.parametrize("has_document", [False, True])
def test_a_prepared_order_has_the_lines_that_copy_reads(*, entry: str, has_document: bool) -> None:
    order = versioned(entry=entry)
    document = encode(order_document(entry=entry)) if has_document else None
    prepared = PostgresOrderStore.prepare(order.order, order.source, document)
    assert prepared == PreparedOrder(order.order, order.source, copy_rows(order.order, order.source))


@pytest.mark.parametrize(("compare_by", "winner"), [("timestamp", 0), ("offset", 1)])
def test_the_setting_decides_whether_time_or_offset_comes_first(compare_by: CompareBy, winner: int) -> None:
    orders = [
        versioned(0, timestamp_ms=2_000, order_uid="a", sm_id=0),
        versioned(1, timestamp_ms=1_000, order_uid="a", sm_id=1),
    ]
    assert newest(orders, compare_by)[0] == {"a": orders[winner]}

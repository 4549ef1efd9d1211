"""The contract of OrderStore, on PostgreSQL, on the fake of the unit tests and on the store of the simulation."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from msgspec.json import encode

from service.errors import OrderRejected
from service.repo.writer.order_store import PostgresOrderStore
from service.usecases.ports.ingest import OrderStore, StoreCounts
from tests.kit.factories import order_document, versioned
from tests.kit.fakes import POISON, FakeStore
from tests.kit.partitions import partition
from tests.kit.stores import writing
from tests.simulation.database import SimulatedStore
from tests.simulation.standalone import simulated_store

NO_POISON = f"ALTER TABLE orders ADD CONSTRAINT no_poison CHECK (customer_id <> '{POISON}')"


@pytest.fixture(params=["fake", "simulated", "postgresql", "partitioned"])
def store(request: pytest.FixtureRequest) -> Iterator[OrderStore]:
    if request.param == "fake":
        yield FakeStore()
        return
    if request.param == "simulated":
        yield simulated_store()
        return
    database = request.getfixturevalue("database")
    with psycopg.connect(database, autocommit=True) as admin:
        partition(admin, 4 if request.param == "partitioned" else 0)
        admin.execute(NO_POISON)
    with writing(database) as writer:
        yield writer


def test_unknown_orders_are_new(store: OrderStore) -> None:
    assert store.store([versioned(offset) for offset in range(5)]) == StoreCounts(new=5)


@pytest.mark.parametrize("text", ["plain", "tab \t, line \n\r, backslash \\"])
def test_a_prepared_order_is_stored_unchanged(
    store: FakeStore | SimulatedStore | PostgresOrderStore, text: str
) -> None:
    plain = versioned(1, order_uid="a", entry=text)
    document = encode(order_document(order_uid="a", entry=text))
    assert store.store([store.prepare(plain.order, plain.source, document)]) == StoreCounts(new=1)
    assert store.store([versioned(2, order_uid="a", entry=text)]) == StoreCounts(unchanged=1)


def test_a_redelivered_order_is_unchanged(store: OrderStore) -> None:
    order = versioned(1)
    store.store([order])
    assert store.store([order]) == StoreCounts(unchanged=1)


def test_the_same_document_in_a_greater_version_only_updates_the_version(store: OrderStore) -> None:
    store.store([versioned(1, order_uid="a")])
    assert store.store([versioned(3, order_uid="a")]) == StoreCounts(unchanged=1)
    assert store.store([versioned(2, order_uid="a", entry="other")]) == StoreCounts(stale=1)


def test_another_document_in_a_greater_version_replaces_the_order(store: OrderStore) -> None:
    store.store([versioned(1, order_uid="a")])
    assert store.store([versioned(2, order_uid="a", entry="other")]) == StoreCounts(replaced=1)


@pytest.mark.parametrize(
    "older",
    [
        {"offset": 9, "timestamp_ms": 999, "partition": 9},
        {"offset": 9, "timestamp_ms": 1_000, "partition": 0},
        {"offset": 4, "timestamp_ms": 1_000, "partition": 1},
    ],
)
def test_a_smaller_version_is_stale_by_timestamp_then_partition_then_offset(
    store: OrderStore, older: dict[str, Any]
) -> None:
    store.store([versioned(5, timestamp_ms=1_000, partition=1, order_uid="a")])
    assert store.store([versioned(**older, order_uid="a", entry="other")]) == StoreCounts(stale=1)


@pytest.mark.parametrize("is_one_batch", [True, False])
@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ({"topic": "b", "timestamp_ms": 1_000, "offset": 9}, {"topic": "a", "timestamp_ms": 1_001, "offset": 2}),
        ({"topic": "a", "timestamp_ms": 1_000, "offset": 9}, {"topic": "b", "timestamp_ms": 1_000, "offset": 2}),
        ({"topic": "a", "timestamp_ms": 1_000, "offset": 5}, {"topic": "b", "timestamp_ms": 1_000, "offset": 5}),
    ],
)
def test_of_an_order_in_two_topics_the_later_timestamp_wins_then_the_topic_by_name(
    store: OrderStore, older: dict[str, Any], newer: dict[str, Any], *, is_one_batch: bool
) -> None:
    for uid, arriving in (("a", (older, newer)), ("b", (newer, older))):
        versions = [versioned(**each, order_uid=uid, entry=each["topic"]) for each in arriving]
        for batch in [versions] if is_one_batch else [[each] for each in versions]:
            store.store(batch)
        assert store.store([versioned(**newer, order_uid=uid, entry=newer["topic"])]) == StoreCounts(unchanged=1)
        assert store.store([versioned(**older, order_uid=uid, entry=older["topic"])]) == StoreCounts(stale=1)


def test_the_greatest_version_in_a_batch_wins_in_any_order(store: OrderStore) -> None:
    versions = [versioned(offset, order_uid="a", entry=f"entry-{offset}") for offset in (2, 3, 1)]
    stored = store.store(versions)
    assert (stored.new, sum(stored)) == (1, 3)
    assert store.store([versions[1]]) == StoreCounts(unchanged=1)
    assert store.store([versions[0], versions[2]]) == StoreCounts(stale=2)


def test_a_batch_may_contain_all_outcomes(store: OrderStore) -> None:
    first = [versioned(offset, order_uid=uid) for offset, uid in enumerate("abcd", start=10)]
    store.store(first)
    batch = [
        versioned(20, order_uid="new"),
        first[0],
        versioned(21, order_uid="b"),
        versioned(22, order_uid="c", entry="other"),
        versioned(1, order_uid="d", entry="other"),
    ]
    assert store.store(batch) == StoreCounts(new=1, replaced=1, unchanged=2, stale=1)


def test_an_empty_batch_stores_nothing(store: OrderStore) -> None:
    assert store.store([]) == StoreCounts()


def test_a_rejected_order_is_identified_and_its_batch_rolled_back(store: OrderStore) -> None:
    orders = [versioned(offset, order_uid=f"{9 - offset}") for offset in range(9)]
    orders[6] = versioned(6, order_uid="3", customer_id=POISON)
    with pytest.raises(OrderRejected) as raised:
        store.store(orders)
    assert (raised.value.index, raised.value.sqlstate) == (6, "23514")
    assert "no_poison" in raised.value.where
    assert store.store(orders[:6]) == StoreCounts(new=6)


def test_an_order_that_is_rejected_alone_does_not_affect_later_ones(store: OrderStore) -> None:
    store.store([versioned(1, order_uid="a")])
    with pytest.raises(OrderRejected):
        store.store([versioned(2, order_uid="a", customer_id=POISON)])
    assert store.store([versioned(2, order_uid="a", entry="other")]) == StoreCounts(replaced=1)

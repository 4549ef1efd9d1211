"""Writers that store the same orders at the same time."""

import random
from functools import partial
from threading import Thread
from typing import LiteralString

import psycopg
import pytest

from service.entities.version import VersionedOrder
from service.errors import ConcurrentChange
from service.repo.shards import shard_of
from service.repo.writer.order_store import PostgresOrderStore
from service.usecases.ports.ingest import StoreCounts
from tests.kit.blocked import Background, wait_until_blocked
from tests.kit.factories import SAMPLE, versioned
from tests.kit.partitions import partition
from tests.kit.stores import WRITER, stored_order, try_to_store, writing
from tests.kit.waiting import eventually

Plan = list[tuple[int, list[str]]]
"""The batches of one writer: pairs of an offset and the uids of the orders that are stored with it."""


def random_plan(seed: int) -> Plan:
    draw = random.Random(seed)  # noqa: S311
    offsets = draw.sample(range(100), 100)
    return [(offset, draw.sample([f"order-{number}" for number in range(30)], 15)) for offset in offsets]


def test_concurrent_writers_lose_no_newer_version_and_do_not_deadlock(database: str, admin: psycopg.Connection) -> None:
    plans = [random_plan(seed) for seed in range(3)]
    writers = [Thread(target=execute_plan, args=[plan, database], daemon=True) for plan in plans]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in writers)
    newest: dict[str, int] = {}
    for offset, uids in (batch for plan in plans for batch in plan):
        newest |= {uid: max(offset, newest.get(uid, 0)) for uid in uids}
    assert len(newest) == 30
    for uid, offset in newest.items():
        assert stored_order(admin, uid) == version(uid, offset).order


def version(uid: str, offset: int) -> VersionedOrder:
    return versioned(offset, order_uid=uid, entry=f"{uid} {offset}", items=SAMPLE["items"] * (1 + offset % 3))


def execute_plan(plan: Plan, database: str) -> None:
    with writing(database) as writer:
        for offset, uids in plan:
            batch = [version(uid, offset) for uid in uids]
            eventually(partial(try_to_store, writer, batch), within=30)


@pytest.mark.parametrize("partitions", [0, 2])
def test_of_two_writers_of_a_new_order_the_second_fails_and_succeeds_on_retry(
    database: str, writer: PostgresOrderStore, admin: psycopg.Connection, background: Background, partitions: int
) -> None:
    partition(admin, partitions)
    with psycopg.connect(database) as other:
        insert_uncommitted_order(writer, admin, other, "a")
        storing = background(lambda: writer.store([versioned(5, order_uid="a")]))
        wait_until_blocked(admin, WRITER, storing)
        other.commit()
        with pytest.raises(ConcurrentChange) as caught:
            storing.result(timeout=10)
    assert (caught.value.sqlstate, caught.value.problem) == ("23505", "another writer inserted the same key first")
    assert writer.store([versioned(5, order_uid="a")]) == StoreCounts(replaced=1)


def insert_uncommitted_order(
    writer: PostgresOrderStore, admin: psycopg.Connection, other: psycopg.Connection, uid: str
) -> None:
    """Insert an order in the open transaction of `other`, which other connections cannot see."""
    writer.store([versioned(1, order_uid="template")])
    names = [name for (name,) in admin.execute(
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_schema = current_schema() AND table_name = 'orders'"
        " AND column_name NOT IN ('id', 'order_uid', 'shard')"
    )]  # fmt: skip
    columns = ", ".join(names)
    statement = (
        f"INSERT INTO orders (id, order_uid, shard, {columns})"  # noqa: S608
        f" SELECT nextval('orders_id_seq'), %s, %s, {columns} FROM orders WHERE order_uid = 'template'"
    )
    other.execute(statement.encode(), [uid, shard_of(uid)])


@pytest.mark.parametrize(
    ("change", "on_retry"),
    [
        ("DELETE FROM orders", StoreCounts(new=1)),
        ("UPDATE orders SET source_offset = 9, entry = 'newer'", StoreCounts(stale=1)),
        ("UPDATE orders SET source_offset = 2, entry = 'newer'", StoreCounts(replaced=1)),
    ],
)
def test_an_order_that_another_writer_changes_during_its_update_is_compared_again_on_retry(
    database: str,
    writer: PostgresOrderStore,
    admin: psycopg.Connection,
    background: Background,
    change: LiteralString,
    on_retry: StoreCounts,
) -> None:
    writer.store([versioned(1, order_uid="a")])
    with psycopg.connect(database) as other:
        other.execute(change)
        replacement = versioned(3, order_uid="a", entry="other")
        storing = background(lambda: writer.store([replacement]))
        wait_until_blocked(admin, WRITER, storing)
        other.commit()
        with pytest.raises(ConcurrentChange, match=r"^another writer changed an order at the same time$"):
            storing.result(timeout=10)
    assert writer.store([replacement]) == on_retry

"""Orders that are older than the retention are not stored, and are deleted whatever concurrent writers do."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import psycopg
import pytest

from service.entities.version import VersionedOrder
from service.errors import StorageUnavailable
from service.repo.notifications import parse
from service.repo.operations.expired_orders import DELETE_BY_ID, OLDEST_EXPIRED, PostgresExpiredOrders
from service.repo.shards import shard_of
from service.repo.transactions import Transactions
from service.repo.writer.erased import SHARE_ERASURE_LOCK
from service.repo.writer.history import DELETE_HISTORIES
from service.repo.writer.order_store import PostgresOrderStore
from service.repo.writer.updates import DELETE_CHILDREN
from service.usecases.ports.ingest import StoreCounts
from service.usecases.ports.operations import ExpiredOrders
from service.usecases.ports.reads import Notification
from service.usecases.retention import EARLIEST, RetentionPolicy
from tests.kit import stores
from tests.kit.blocked import Background, wait_until_blocked
from tests.kit.factories import connection_settings, versioned
from tests.kit.fakes import FakeClock, FakeExpiredOrders
from tests.kit.notifications import listen
from tests.kit.stores import erasing

LIMIT = 5
"""Orders that one transaction deletes at most."""
NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
MAX_AGE = timedelta(days=400)
CUTOFF = NOW - MAX_AGE
EXPIRED, KEPT = CUTOFF - timedelta(microseconds=1), CUTOFF
COPY_OF_AN_ORDER: LiteralString = """\
INSERT INTO orders SELECT (jsonb_populate_record(o, '{"order_uid": "late", "id": 0}')).* FROM orders o LIMIT 1"""
TABLES: dict[LiteralString, LiteralString] = {
    "orders": "id", "deliveries": "order_id", "payments": "order_id", "items": "order_id",
    "order_versions": "order_id",
}  # fmt: skip


@contextmanager
def pruning(dsn: str, **settings: Any) -> Iterator[PostgresExpiredOrders]:
    transactions = Transactions(connection_settings(dsn, "pruner", **settings))
    with closing(PostgresExpiredOrders(transactions, stores.WRITER, CUTOFF)) as opened:
        yield opened


@contextmanager
def retaining(dsn: str, now: datetime = NOW) -> Iterator[PostgresOrderStore]:
    with stores.writing(dsn, "timestamp", RetentionPolicy(MAX_AGE), lambda: now) as opened:
        yield opened


@pytest.fixture
def expired(database: str) -> Iterator[PostgresExpiredOrders]:
    with pruning(database) as opened:
        yield opened


def created(at: datetime, uid: str, offset: int = 1, **overrides: Any) -> VersionedOrder:
    date = at.isoformat().replace("+00:00", "Z")
    return versioned(offset, order_uid=uid, date_created=date, **overrides)


def stored(admin: psycopg.Connection) -> set[str]:
    return {uid for (uid,) in admin.execute("SELECT order_uid FROM orders")}


# Pruning


@pytest.fixture(params=["fake", "postgresql"])
def seven_expired(request: pytest.FixtureRequest) -> Iterator[ExpiredOrders]:
    if request.param == "fake":
        yield FakeExpiredOrders(7, FakeClock())
        return
    database = request.getfixturevalue("database")
    stores.store(database, created(NOW, "new"), *(created(EXPIRED, f"o{number}") for number in range(7)))
    with pruning(database) as opened:
        yield opened


def test_transactions_delete_up_to_the_limit_until_no_expired_order_is_left(seven_expired: ExpiredOrders) -> None:
    """The contract of ExpiredOrders."""
    assert seven_expired.count() == 7
    assert [seven_expired.delete_oldest(3) for _ in range(4)] == [3, 3, 1, 0]
    assert seven_expired.count() == 0


def test_expired_orders_are_counted_and_deleted_from_every_table(
    expired: PostgresExpiredOrders, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    dates = {"a": EXPIRED, "b": EXPIRED - MAX_AGE, "c": KEPT, "d": NOW}
    for offset in (1, 2):
        writer.store([created(date, uid, offset, entry=str(offset)) for uid, date in dates.items()])
    assert expired.count() == 2
    assert [expired.delete_oldest(LIMIT), expired.delete_oldest(LIMIT), expired.count()] == [2, 0, 0]
    assert stored(admin) == {"c", "d"}
    for table, key in TABLES.items():
        assert admin.execute(f"SELECT count(DISTINCT {key}) FROM {table}").fetchall() == [(2,)]  # noqa: S608


def test_a_transaction_deletes_the_oldest_of_many(
    expired: PostgresExpiredOrders, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    ages = [*range(LIMIT + 2)]
    writer.store([created(EXPIRED - timedelta(seconds=age), f"o{age}") for age in ages] + [created(NOW, "new")])
    assert expired.delete_oldest(LIMIT) == LIMIT
    assert stored(admin) == {"o0", "o1", "new"}
    assert [expired.delete_oldest(LIMIT), expired.delete_oldest(LIMIT)] == [2, 0]
    assert stored(admin) == {"new"}


def test_more_orders_of_one_moment_than_a_transaction_deletes_are_all_deleted(
    expired: PostgresExpiredOrders, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    writer.store([created(EXPIRED, f"o{number}") for number in range(LIMIT + 1)])
    assert [expired.delete_oldest(LIMIT), expired.delete_oldest(LIMIT), expired.delete_oldest(LIMIT)] == [LIMIT, 1, 0]
    assert stored(admin) == set()


@pytest.mark.parametrize("timezone", ["America/New_York", "Asia/Kolkata"])
def test_any_date_of_an_order_can_be_pruned(
    database: str, writer: PostgresOrderStore, admin: psycopg.Connection, timezone: str
) -> None:
    """Python's calendar begins after the local time of the first orders."""
    writer.store([created(EARLIEST, "a"), created(EARLIEST + timedelta(hours=1), "b")])
    with pruning(f"{database}?options=-ctimezone%3D{timezone}") as expired:
        assert [expired.delete_oldest(LIMIT), expired.delete_oldest(LIMIT)] == [2, 0]
    assert stored(admin) == set()


def test_readers_are_notified_of_every_deleted_order(
    database: str, expired: PostgresExpiredOrders, writer: PostgresOrderStore
) -> None:
    writer.store([created(EXPIRED, "b"), created(EXPIRED - MAX_AGE, "a"), created(NOW, "c")])
    with psycopg.connect(database, autocommit=True) as listener:
        listen(listener)
        expired.delete_oldest(LIMIT)
        (notification,) = listener.notifies(timeout=10, stop_after=1)
    assert parse(notification.payload) == Notification(changed=["a", "b"])


@pytest.mark.plain_tables
def test_each_statement_uses_its_index(writer: PostgresOrderStore, admin: psycopg.Connection) -> None:
    writer.store([created(EXPIRED - timedelta(seconds=number), f"o{number}") for number in range(2_000)])
    admin.execute("ANALYZE")
    admin.execute("SET enable_seqscan = off")
    keys = [*admin.execute("SELECT id, order_uid FROM orders LIMIT 500")]
    values = {
        "start": EARLIEST, "cutoff": CUTOFF, "limit": 500, "ids": [key for key, _ in keys],
        "shards": list({shard_of(uid) for _, uid in keys}),
    }  # fmt: skip
    expected = {
        OLDEST_EXPIRED: "orders_newest_idx",
        DELETE_BY_ID: "orders_pkey",
        DELETE_HISTORIES: "order_versions_pkey",
    } | dict(zip(DELETE_CHILDREN, ("deliveries_pkey", "payments_pkey", "items_pkey"), strict=True))
    for statement, index in expected.items():
        plan = str(admin.execute(f"EXPLAIN {statement}".encode(), values).fetchall())
        assert index in plan
        assert "Sort" not in plan


# Concurrent writers and erasures


def test_a_prune_locks_no_order_while_it_waits_for_a_writer(
    database: str, expired: PostgresExpiredOrders, writer: PostgresOrderStore, admin: psycopg.Connection,
    background: Background,
) -> None:  # fmt: skip
    """Otherwise they could deadlock. What the writer stores meanwhile is deleted too."""
    writer.store([created(EXPIRED - MAX_AGE, "a"), created(EXPIRED, "z")])
    with psycopg.connect(database) as other:
        other.execute(SHARE_ERASURE_LOCK)
        other.execute("SELECT FROM orders WHERE order_uid = 'z' FOR UPDATE")
        deleting = background(lambda: expired.delete_oldest(LIMIT))
        wait_until_blocked(admin, "pruner", deleting)
        other.execute("SELECT FROM orders WHERE order_uid = 'a' FOR UPDATE NOWAIT")
        other.execute(COPY_OF_AN_ORDER)
        other.commit()
        assert deleting.result() == 3
    assert stored(admin) == set()


def test_a_prune_that_times_out_waiting_for_a_writer_deletes_nothing(
    database: str, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    writer.store([created(EXPIRED, "a")])
    with psycopg.connect(database) as other, pruning(database, lock_timeout=0.2) as expired:
        other.execute(SHARE_ERASURE_LOCK)
        with pytest.raises(StorageUnavailable) as caught:
            expired.delete_oldest(LIMIT)
        assert caught.value.sqlstate == "55P03"
        assert stored(admin) == {"a"}
        other.rollback()
        assert expired.delete_oldest(LIMIT) == 1
    assert stored(admin) == set()


def test_an_erasure_waits_for_a_prune_and_both_finish(
    database: str, expired: PostgresExpiredOrders, writer: PostgresOrderStore, admin: psycopg.Connection,
    background: Background,
) -> None:  # fmt: skip
    writer.store([created(EXPIRED, "a"), created(NOW, "b")])
    with psycopg.connect(database) as other, erasing(database) as erasures:
        other.execute("SELECT FROM orders WHERE order_uid = 'a' FOR UPDATE")
        deleting = background(lambda: expired.delete_oldest(LIMIT))
        wait_until_blocked(admin, "pruner", deleting)
        erased = background(lambda: erasures.erase(["a", "b"]))
        other.rollback()
        assert (deleting.result(), erased.result()) == (1, {"b"})
    assert stored(admin) == set()


# Storing


def test_a_pruned_order_is_not_stored_again(
    database: str, expired: PostgresExpiredOrders, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    batch = [created(EXPIRED, "a"), created(KEPT, "b")]
    writer.store(batch)
    assert expired.delete_oldest(LIMIT) == 1
    with retaining(database) as opened:
        assert opened.store(batch) == StoreCounts(unchanged=1, expired=1)
        assert opened.store([created(EXPIRED, "a", 2, entry="newer"), created(EXPIRED, "c")]) == StoreCounts(expired=2)
    assert stored(admin) == {"b"}


def test_the_age_at_the_time_of_writing_counts(database: str) -> None:
    with retaining(database, NOW) as earlier, retaining(database, NOW + timedelta(microseconds=1)) as later:
        assert later.store([created(KEPT, "a")]) == StoreCounts(expired=1)
        assert earlier.store([created(KEPT, "a")]) == StoreCounts(new=1)


def test_without_a_retention_an_order_of_any_age_is_stored(writer: PostgresOrderStore) -> None:
    assert writer.store([created(EARLIEST, "a")]) == StoreCounts(new=1)


def test_a_stored_order_is_replaced_whatever_its_age(database: str, writer: PostgresOrderStore) -> None:
    """Until it is pruned, the greatest version wins."""
    writer.store([created(NOW, "a"), created(EXPIRED, "b")])
    with retaining(database) as opened:
        newer = [created(EXPIRED, "a", 2, entry="newer"), created(EXPIRED, "b", 2, entry="newer")]
        assert opened.store(newer) == StoreCounts(replaced=2)
        assert opened.store(newer) == StoreCounts(unchanged=2)


def test_an_erased_order_counts_as_erased_whatever_its_age(database: str) -> None:
    with erasing(database) as erasures, retaining(database) as opened:
        erasures.erase(["a"])
        assert opened.store([created(EXPIRED, "a"), created(EXPIRED, "b")]) == StoreCounts(erased=1, expired=1)

"""An erased order is deleted and not stored again, whatever concurrent writers do."""

from collections.abc import Iterator
from hashlib import sha256
from typing import LiteralString

import psycopg
import pytest

from service.errors import StorageUnavailable
from service.repo.notifications import parse
from service.repo.operations.erasures import Erasures
from service.repo.writer.erased import SHARE_ERASURE_LOCK
from service.repo.writer.order_store import PostgresOrderStore
from service.usecases.ports.ingest import StoreCounts
from service.usecases.ports.operations import ErasureStatus, ErasureStore
from service.usecases.ports.reads import Notification
from tests.kit import citus
from tests.kit.blocked import Background, wait_until_blocked
from tests.kit.factories import versioned
from tests.kit.fakes import FakeErasureStore
from tests.kit.notifications import listen
from tests.kit.stores import erasing, writing
from tests.simulation.standalone import simulated_stores

DAY_SECONDS = 86_400
SERIALIZABLE = "?options=-cdefault_transaction_isolation%3Dserializable"


@pytest.fixture
def erasures(database: str) -> Iterator[Erasures]:
    with erasing(database) as opened:
        yield opened


def stored(admin: psycopg.Connection, table: LiteralString = "orders") -> set[str]:
    return {uid for (uid,) in admin.execute(f"SELECT order_uid FROM {table}")}  # noqa: S608


# Erasing


def test_an_erased_order_is_deleted_from_every_table(
    erasures: Erasures, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    for offset in (1, 2):
        writer.store([versioned(offset, order_uid=uid, entry=str(offset)) for uid in ("a", "A", "b")])
    assert erasures.erase(["a", "unknown"]) == {"a"}
    assert stored(admin) == {"A", "b"}
    for table in ("deliveries", "payments", "items", "order_versions"):
        assert stored(admin, f"{table} JOIN orders ON orders.id = order_id") == {"A", "b"}
        assert admin.execute(f"SELECT count(DISTINCT order_id) FROM {table}").fetchone() == (2,)  # noqa: S608


def test_only_the_hash_of_an_erased_uid_is_kept(erasures: Erasures, admin: psycopg.Connection) -> None:
    erasures.erase(["a"])
    assert admin.execute("SELECT order_uid_hash, erased_at <= now() FROM erased").fetchall() == [
        (sha256(b"a").digest(), True)
    ]


def test_readers_are_notified_of_every_erased_uid(database: str, erasures: Erasures) -> None:
    with psycopg.connect(database, autocommit=True) as listener:
        listen(listener)
        erasures.erase(["a", "b"])
        (notification,) = listener.notifies(timeout=10, stop_after=1)
    assert parse(notification.payload) == Notification(changed=["a", "b"])


# Storing again


@pytest.mark.parametrize("offset", [1, 5, 9])
def test_no_version_of_an_erased_order_is_stored_but_the_rest_of_its_batch_is(
    erasures: Erasures, writer: PostgresOrderStore, admin: psycopg.Connection, offset: int
) -> None:
    writer.store([versioned(5, order_uid="a"), versioned(5, order_uid="c")])
    erasures.erase(["a"])
    batch = [
        versioned(offset, order_uid="a", entry="x"),
        versioned(6, order_uid="b"),
        versioned(6, order_uid="c", entry="x"),
    ]
    assert writer.store(batch) == StoreCounts(new=1, replaced=1, erased=1)
    assert stored(admin) == {"b", "c"}


def test_an_order_can_be_erased_before_it_is_stored(erasures: Erasures, writer: PostgresOrderStore) -> None:
    assert erasures.erase(["a"]) == set()
    assert writer.store([versioned(1, order_uid="a")]) == StoreCounts(erased=1)


def test_a_full_batch_is_stored_without_the_erased_ones(
    erasures: Erasures, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    uids = [f"order-{number}" for number in range(2_000)]
    erasures.erase(uids[::2])
    assert writer.store([versioned(1, order_uid=uid) for uid in uids]) == StoreCounts(new=1_000, erased=1_000)
    assert stored(admin) == {*uids[1::2]}


def test_an_order_restored_by_an_earlier_release_is_deleted_by_the_next_erasure(
    erasures: Erasures, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    writer.store([versioned(1, order_uid="a")])
    admin.execute("INSERT INTO erased VALUES (sha256('a'))")
    assert writer.store([versioned(2, order_uid="a", entry="x")]) == StoreCounts(erased=1)
    assert erasures.erase(["a"]) == {"a"}
    assert stored(admin) == set()


def test_erasing_again_only_updates_the_time(erasures: Erasures, admin: psycopg.Connection) -> None:
    erasures.erase(["a"])
    admin.execute("UPDATE erased SET erased_at = erased_at - interval '1 day'")
    assert erasures.erase(["a"]) == set()
    assert admin.execute("SELECT erased_at > now() - interval '1 hour' FROM erased").fetchall() == [(True,)]


def test_an_order_may_be_stored_again_after_its_erasure_has_expired(
    erasures: Erasures, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    erasures.erase(["old"])
    admin.execute("UPDATE erased SET erased_at = erased_at - interval '2 days'")
    erasures.erase(["recent"])
    assert erasures.forget_older_than(DAY_SECONDS) == 1
    assert writer.store([versioned(1, order_uid="old"), versioned(1, order_uid="recent")]) == StoreCounts(
        new=1, erased=1
    )


# The contract of ErasureStore


@pytest.fixture(params=["fake", "simulated", "postgresql"])
def erasure_store(request: pytest.FixtureRequest) -> ErasureStore:
    """Order `a` was erased two days ago and `b` just now; `c` is stored."""
    if request.param == "fake":
        return FakeErasureStore(stored="c", erased="ab", ages_seconds={"a": 2 * DAY_SECONDS})
    if request.param == "simulated":
        store, simulated = simulated_stores()
        simulated.erase(["a", "b"])
        store.store([versioned(1, order_uid=uid) for uid in "abc"])
        return simulated
    writer: PostgresOrderStore = request.getfixturevalue("writer")
    writer.store([versioned(1, order_uid="c")])
    erasures: Erasures = request.getfixturevalue("erasures")
    erasures.erase(["a"])
    admin: psycopg.Connection = request.getfixturevalue("admin")
    admin.execute("UPDATE erased SET erased_at = erased_at - interval '2 days'")
    erasures.erase(["b"])
    return erasures


def test_erasing_deletes_these_orders_only_and_returns_those_that_were_stored(erasure_store: ErasureStore) -> None:
    assert erasure_store.erase(["a", "d"]) == set()
    assert erasure_store.status(["a", "b", "c", "d"]) == ErasureStatus({"c"}, {"a", "b", "d"})
    assert erasure_store.erase(["c", "d"]) == {"c"}
    assert erasure_store.status(["a", "b", "c", "d"]) == ErasureStatus(set(), {"a", "b", "c", "d"})


def test_undo_removes_the_erasures_of_these_orders_only(erasure_store: ErasureStore) -> None:
    assert erasure_store.status(["a", "b", "c", "d"]) == ErasureStatus({"c"}, {"a", "b"})
    erasure_store.undo([])
    erasure_store.undo(["a", "c", "d"])
    assert erasure_store.status(["a", "b", "c", "d"]) == ErasureStatus({"c"}, {"b"})
    assert erasure_store.status(["a"]) == ErasureStatus(set(), set())


@pytest.mark.parametrize("erasure_store", ["fake", "postgresql"], indirect=True)
def test_old_erasures_are_counted_and_forgotten(erasure_store: ErasureStore) -> None:
    assert erasure_store.count_older_than(DAY_SECONDS) == 1
    assert erasure_store.status(["a", "b"]) == ErasureStatus(set(), {"a", "b"})
    assert erasure_store.forget_older_than(DAY_SECONDS) == 1
    assert erasure_store.status(["a", "b"]) == ErasureStatus(set(), {"b"})


# Concurrent writers


def test_an_erasure_waits_for_a_writer_and_then_erases_its_order(
    database: str, writer: PostgresOrderStore, erasures: Erasures, admin: psycopg.Connection, background: Background
) -> None:
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE deliveries IN SHARE MODE")
        storing = background(lambda: writer.store([versioned(1, order_uid="a"), versioned(1, order_uid="b")]))
        wait_until_blocked(admin, "writer", storing)
        erased = background(lambda: erasures.erase(["a"]))
        wait_until_blocked(admin, "eraser", erased)
        other.rollback()
        assert (storing.result(), erased.result()) == (StoreCounts(new=2), {"a"})
    assert stored(admin) == {"b"}


@pytest.mark.parametrize("default", ["", SERIALIZABLE], ids=["read-committed", "serializable"])
def test_a_writer_waits_for_an_erasure_and_then_skips_the_erased_order(
    database: str, erasures: Erasures, admin: psycopg.Connection, background: Background, default: str
) -> None:
    with writing(database + default) as writer, psycopg.connect(database) as other:
        writer.store([versioned(1, order_uid="z")])
        other.execute("SELECT FROM orders FOR UPDATE")
        erased = background(lambda: erasures.erase(["a", "z"]))
        wait_until_blocked(admin, "eraser", erased)
        storing = background(lambda: writer.store([versioned(1, order_uid="a"), versioned(1, order_uid="b")]))
        wait_until_blocked(admin, "writer", storing)
        other.rollback()
        assert (erased.result(), storing.result()) == ({"z"}, StoreCounts(new=1, erased=1))
    assert stored(admin) == {"b"}


def test_writers_do_not_block_each_other(database: str, writer: PostgresOrderStore) -> None:
    with psycopg.connect(database) as other:
        other.execute(SHARE_ERASURE_LOCK)
        assert writer.store([versioned(1)]) == StoreCounts(new=1)


def test_a_writer_that_times_out_waiting_for_an_erasure_can_retry(
    database: str, erasures: Erasures, admin: psycopg.Connection, background: Background
) -> None:
    with writing(database, lock_timeout=0.2) as writer, psycopg.connect(database) as other:
        writer.store([versioned(1, order_uid="z")])
        other.execute("SELECT FROM orders FOR UPDATE")
        erased = background(lambda: erasures.erase(["z"]))
        wait_until_blocked(admin, "eraser", erased)
        with pytest.raises(StorageUnavailable) as caught:
            writer.store([versioned(1, order_uid="b")])
        assert caught.value.sqlstate == "55P03"
        other.rollback()
        assert erased.result() == {"z"}
        assert writer.store([versioned(1, order_uid="b")]) == StoreCounts(new=1)


def test_an_erasure_terminates_a_writer_that_hangs_in_a_copy(
    database: str, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    writer.store([versioned(1, order_uid="a")])
    with (
        psycopg.connect(database, application_name="writer") as frozen,
        erasing(database, lock_timeout=0.2) as erasures,
    ):
        frozen.execute(SHARE_ERASURE_LOCK)
        with pytest.raises(psycopg.OperationalError), frozen.cursor().copy("COPY orders FROM STDIN"):
            assert erasures.erase(["a"]) == {"a"}
    assert stored(admin) == set()


def test_an_erasure_that_times_out_waiting_for_a_writer_erases_nothing(
    database: str, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    writer.store([versioned(1, order_uid="a")])
    with psycopg.connect(database) as other, erasing(database, lock_timeout=0.2) as erasures:
        other.execute(SHARE_ERASURE_LOCK)
        with pytest.raises(StorageUnavailable) as caught:
            erasures.erase(["a"])
        assert caught.value.sqlstate == "55P03"
        assert writer.store([versioned(2, order_uid="a", entry="x")]) == StoreCounts(replaced=1)
    assert stored(admin) == {"a"}


# On Citus, where writers may connect to other nodes; with stand-ins of its functions


def test_on_citus_an_erasure_is_committed_before_it_waits_for_the_writers_of_all_nodes(
    database: str, writer: PostgresOrderStore, erasures: Erasures, admin: psycopg.Connection, background: Background
) -> None:
    """On another node, the exclusive lock would not wait for this writer, nor would its later batches wait."""
    citus.create_extension(admin)
    writer.store([versioned(1, order_uid="a")])
    with psycopg.connect(database) as other:
        other.execute(SHARE_ERASURE_LOCK)
        erasing = background(lambda: erasures.erase(["a"]))
        wait_until_blocked(admin, "eraser", erasing)
        waiting = admin.execute("SELECT query FROM pg_stat_activity WHERE application_name = 'eraser'").fetchall()
        assert "run_command_on_all_nodes" in waiting[0][0]
        assert erasure_count(admin) == 1
        assert stored(admin) == {"a"}
        other.commit()
        assert erasing.result() == {"a"}
    assert stored(admin) == set()


def test_on_citus_nothing_is_deleted_while_the_writers_of_a_node_may_not_know_of_the_erasure(
    writer: PostgresOrderStore, erasures: Erasures, admin: psycopg.Connection
) -> None:
    citus.create_extension(admin)
    citus.create_run_command(admin, is_second_reachable=False)
    writer.store([versioned(1, order_uid="a")])
    with pytest.raises(StorageUnavailable, match="could not wait for the batches of the Citus nodes 2"):
        erasures.erase(["a"])
    assert stored(admin) == {"a"}
    citus.create_run_command(admin, is_second_reachable=True)
    assert erasures.erase(["a"]) == {"a"}


def test_without_citus_an_erasure_that_waits_has_changed_nothing(
    database: str, writer: PostgresOrderStore, erasures: Erasures, admin: psycopg.Connection, background: Background
) -> None:
    writer.store([versioned(1, order_uid="a")])
    with psycopg.connect(database) as other:
        other.execute(SHARE_ERASURE_LOCK)
        erasing = background(lambda: erasures.erase(["a"]))
        wait_until_blocked(admin, "eraser", erasing)
        assert erasure_count(admin) == 0
        other.commit()
        assert erasing.result() == {"a"}


def erasure_count(admin: psycopg.Connection) -> int:
    """Return the number of committed erasures."""
    return len(admin.execute("SELECT FROM erased").fetchall())

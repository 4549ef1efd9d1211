"""An erased order is gone and stays away, whatever a writer is about to do when it is erased."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from hashlib import sha256
from typing import Any, LiteralString

import psycopg
import pytest

from service.errors import StorageUnavailable
from service.repo.erasures import SHARE, Erasures
from service.repo.notifications import Notification, parse
from service.repo.transactions import Transactions
from service.repo.writes import PostgresOrderStore
from service.usecases.ports import Stored
from tests.factories import connection_settings, versioned
from tests.notifications import listen
from tests.waiting import eventually

SERIALIZABLE = "?options=-cdefault_transaction_isolation%3Dserializable"
WAITS: LiteralString = """\
SELECT FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name = %s"""

Aside = Callable[[Callable[[], Any]], Future[Any]]


@contextmanager
def erasing(dsn: str, **settings: Any) -> Iterator[Erasures]:
    with closing(Erasures(Transactions(connection_settings(dsn, "eraser", **settings)), "writer")) as made:
        yield made


@contextmanager
def writing(dsn: str, **settings: Any) -> Iterator[PostgresOrderStore]:
    with closing(PostgresOrderStore(Transactions(connection_settings(dsn, "writer", **settings)))) as made:
        yield made


@pytest.fixture
def erasures(database: str) -> Iterator[Erasures]:
    with erasing(database) as made:
        yield made


@pytest.fixture
def writer(database: str) -> Iterator[PostgresOrderStore]:
    with writing(database) as made:
        yield made


@pytest.fixture
def aside() -> Iterator[Aside]:
    """Runs a call in a thread of its own."""
    with ThreadPoolExecutor() as threads:
        yield threads.submit


def stored(admin: psycopg.Connection, table: LiteralString = "orders") -> set[str]:
    return {uid for (uid,) in admin.execute(f"SELECT order_uid FROM {table}")}  # noqa: S608


def wait_held_up(admin: psycopg.Connection, application: str, call: Future[Any]) -> None:
    """Block until the call waits for a lock, or until it is done, where nothing holds it up."""
    eventually(lambda: call.done() or admin.execute(WAITS, [application]).fetchone() is not None)


# Gone


def test_an_erased_order_is_in_no_table_and_its_neighbours_are(
    erasures: Erasures, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    writer.store([versioned(1, order_uid=uid) for uid in ("a", "A", "b")])
    assert erasures.erase(["a", "unknown"]) == {"a"}
    for table in ("orders", "deliveries", "payments", "items"):
        assert stored(admin, table) == {"A", "b"}


def test_of_an_erased_order_only_the_hash_of_its_id_is_kept(erasures: Erasures, admin: psycopg.Connection) -> None:
    erasures.erase(["a"])
    assert admin.execute("SELECT order_uid_hash, erased_at <= now() FROM erased").fetchall() == [
        (sha256(b"a").digest(), True)
    ]


def test_readers_are_told_of_what_was_stored_and_of_what_was_not(database: str, erasures: Erasures) -> None:
    with psycopg.connect(database, autocommit=True) as listener:
        listen(listener)
        erasures.erase(["a", "b"])
        (told,) = listener.notifies(timeout=10, stop_after=1)
    assert parse(told.payload) == Notification(changed=["a", "b"])


# Kept away


@pytest.mark.parametrize("offset", [1, 5, 9])
def test_no_version_of_an_erased_order_is_stored_and_the_rest_of_its_batch_is(
    erasures: Erasures, writer: PostgresOrderStore, admin: psycopg.Connection, offset: int
) -> None:
    writer.store([versioned(5, order_uid="a"), versioned(5, order_uid="c")])
    erasures.erase(["a"])
    batch = [
        versioned(offset, order_uid="a", entry="x"),
        versioned(6, order_uid="b"),
        versioned(6, order_uid="c", entry="x"),
    ]
    assert writer.store(batch) == Stored(new=1, replaced=1, erased=1)
    assert stored(admin) == {"b", "c"}


def test_an_order_that_was_never_stored_can_be_kept_away(erasures: Erasures, writer: PostgresOrderStore) -> None:
    assert erasures.erase(["a"]) == set()
    assert writer.store([versioned(1, order_uid="a")]) == Stored(erased=1)


def test_a_full_batch_is_stored_without_the_erased_ones(
    erasures: Erasures, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    uids = [f"order-{number}" for number in range(2_000)]
    erasures.erase(uids[::2])
    assert writer.store([versioned(1, order_uid=uid) for uid in uids]) == Stored(new=1_000, erased=1_000)
    assert stored(admin) == {*uids[1::2]}


def test_what_an_earlier_release_brought_back_is_left_to_the_next_erasure(
    erasures: Erasures, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    writer.store([versioned(1, order_uid="a")])
    admin.execute("INSERT INTO erased VALUES (sha256('a'))")
    assert writer.store([versioned(2, order_uid="a", entry="x")]) == Stored(erased=1)
    assert erasures.erase(["a"]) == {"a"}
    assert stored(admin) == set()


def test_erasing_again_changes_nothing_but_the_time_that_counts(erasures: Erasures, admin: psycopg.Connection) -> None:
    erasures.erase(["a"])
    admin.execute("UPDATE erased SET erased_at = erased_at - interval '1 day'")
    assert erasures.erase(["a"]) == set()
    assert admin.execute("SELECT erased_at > now() - interval '1 hour' FROM erased").fetchall() == [(True,)]


def test_an_order_may_be_stored_again_when_its_erasure_is_old_enough_to_be_forgotten(
    erasures: Erasures, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    erasures.erase(["old"])
    admin.execute("UPDATE erased SET erased_at = erased_at - interval '2 days'")
    erasures.erase(["young"])
    assert erasures.delete_expired(86_400) == 1
    assert writer.store([versioned(1, order_uid="old"), versioned(1, order_uid="young")]) == Stored(new=1, erased=1)


# At the same time


def test_an_order_that_is_about_to_be_stored_is_erased_after_it(
    database: str, writer: PostgresOrderStore, erasures: Erasures, admin: psycopg.Connection, aside: Aside
) -> None:
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE deliveries IN SHARE MODE")
        storing = aside(lambda: writer.store([versioned(1, order_uid="a"), versioned(1, order_uid="b")]))
        wait_held_up(admin, "writer", storing)
        erased = aside(lambda: erasures.erase(["a"]))
        wait_held_up(admin, "eraser", erased)
        other.rollback()
        assert (storing.result(), erased.result()) == (Stored(new=2), {"a"})
    assert stored(admin) == {"b"}


@pytest.mark.parametrize("default", ["", SERIALIZABLE], ids=["read-committed", "serializable"])
def test_an_order_that_comes_while_it_is_erased_is_held_up_and_refused(
    database: str, erasures: Erasures, admin: psycopg.Connection, aside: Aside, default: str
) -> None:
    with writing(database + default) as writer, psycopg.connect(database) as other:
        writer.store([versioned(1, order_uid="z")])
        other.execute("SELECT FROM orders FOR UPDATE")
        erased = aside(lambda: erasures.erase(["a", "z"]))
        wait_held_up(admin, "eraser", erased)
        storing = aside(lambda: writer.store([versioned(1, order_uid="a"), versioned(1, order_uid="b")]))
        wait_held_up(admin, "writer", storing)
        other.rollback()
        assert (erased.result(), storing.result()) == ({"z"}, Stored(new=1, erased=1))
    assert stored(admin) == {"b"}


def test_writers_hold_up_each_other_no_more_than_before(database: str, writer: PostgresOrderStore) -> None:
    with psycopg.connect(database) as other:
        other.execute(SHARE)
        assert writer.store([versioned(1)]) == Stored(new=1)


def test_a_writer_that_waits_for_an_erasure_in_vain_tries_again(
    database: str, erasures: Erasures, admin: psycopg.Connection, aside: Aside
) -> None:
    with writing(database, lock_timeout=0.2) as writer, psycopg.connect(database) as other:
        writer.store([versioned(1, order_uid="z")])
        other.execute("SELECT FROM orders FOR UPDATE")
        erased = aside(lambda: erasures.erase(["z"]))
        wait_held_up(admin, "eraser", erased)
        with pytest.raises(StorageUnavailable) as caught:
            writer.store([versioned(1, order_uid="b")])
        assert caught.value.sqlstate == "55P03"
        other.rollback()
        assert erased.result() == {"z"}
        assert writer.store([versioned(1, order_uid="b")]) == Stored(new=1)


def test_a_writer_that_froze_in_the_midst_of_a_copy_is_ended_by_the_erasure(
    database: str, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    writer.store([versioned(1, order_uid="a")])
    with (
        psycopg.connect(database, application_name="writer") as frozen,
        erasing(database, lock_timeout=0.2) as erasures,
    ):
        frozen.execute(SHARE)
        with pytest.raises(psycopg.OperationalError), frozen.cursor().copy("COPY orders FROM STDIN"):
            assert erasures.erase(["a"]) == {"a"}
    assert stored(admin) == set()


def test_an_erasure_that_waits_in_vain_for_a_writer_erases_nothing(
    database: str, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    writer.store([versioned(1, order_uid="a")])
    with psycopg.connect(database) as other, erasing(database, lock_timeout=0.2) as erasures:
        other.execute(SHARE)
        with pytest.raises(StorageUnavailable) as caught:
            erasures.erase(["a"])
        assert caught.value.sqlstate == "55P03"
        assert writer.store([versioned(2, order_uid="a", entry="x")]) == Stored(replaced=1)
    assert stored(admin) == {"a"}

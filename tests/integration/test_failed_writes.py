"""Errors of the writer: rejected orders, locks, timeouts and unresponsive servers."""

import re
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from service.entities.version import VersionedOrder
from service.errors import OrderRejected, StatementTimedOut, StorageError, StorageUnavailable
from service.repo.connection import GRACE_SECONDS
from service.repo.transactions import Transactions
from service.repo.writer.order_store import PostgresOrderStore
from service.usecases.ports.ingest import StoreCounts
from tests.kit.blocked import Background, wait_until_blocked
from tests.kit.factories import SAMPLE, connection_settings, versioned
from tests.kit.notifications import full_queue, limit_queue
from tests.kit.partitions import partition
from tests.kit.stores import WRITER, stored_order, try_to_store, writing
from tests.kit.waiting import eventually

if TYPE_CHECKING:
    from local.postgres import Postgres

ITEM = SAMPLE["items"][0]


def rejection(writer: PostgresOrderStore, orders: Sequence[VersionedOrder]) -> OrderRejected:
    with pytest.raises(OrderRejected) as caught:
        writer.store(orders)
    return caught.value


# Rejected orders

POISONS: dict[str, tuple[str, dict[str, Any]]] = {
    "orders": ("customer_id", {"customer_id": "poison"}),
    "deliveries": ("city", {"delivery": {"city": "poison"}}),
    "payments": ("bank", {"payment": {"bank": "poison"}}),
    "items": ("brand", {"items": [ITEM, ITEM, ITEM | {"brand": "poison"}, ITEM]}),
}


def add_check(admin: psycopg.Connection, table: str, name: str) -> None:
    admin.execute(f"ALTER TABLE {table} ADD CONSTRAINT no_poison CHECK ({name} <> 'poison')".encode())


@pytest.mark.parametrize(("table", "name", "overrides"), [(table, *poison) for table, poison in POISONS.items()])
def test_a_rejected_new_order_is_identified(
    writer: PostgresOrderStore, admin: psycopg.Connection, table: str, name: str, overrides: dict[str, Any]
) -> None:
    add_check(admin, table, name)
    uids = [f"{(number * 37) % 100:02}" for number in range(100)]
    orders = [versioned(at, order_uid=uid, items=[ITEM] * (1 + at % 4)) for at, uid in enumerate(uids)]
    orders[63] = versioned(63, order_uid=uids[63], **{"items": [ITEM] * 4, **overrides})
    error = rejection(writer, orders)
    assert (error.index, error.sqlstate) == (63, "23514")
    assert re.fullmatch(rf"{table}(_p\d)? no_poison", error.where)  # _p3: of a partition
    assert admin.execute("SELECT FROM orders").fetchall() == []


@pytest.mark.parametrize("table", ["deliveries", "payments", "items"])
def test_a_rejected_replacement_is_identified(
    writer: PostgresOrderStore, admin: psycopg.Connection, table: str
) -> None:
    name, overrides = POISONS[table]
    writer.store([versioned(1, order_uid=f"{number}") for number in range(10)])
    add_check(admin, table, name)
    orders = [versioned(2, order_uid=f"{9 - number}", entry="other") for number in range(10)]
    orders[7] = versioned(2, order_uid="2", **overrides)
    assert rejection(writer, [*orders, versioned(3, order_uid="new")]).index == 7
    assert writer.store(orders[:7]) == StoreCounts(replaced=7)


def test_a_value_too_long_for_its_column_is_identified_with_the_column(
    writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    admin.execute("ALTER TABLE items ALTER COLUMN brand TYPE varchar(20)")
    long = versioned(1, order_uid="b", items=[ITEM, ITEM | {"brand": "x" * 21}])
    error = rejection(writer, [versioned(1, order_uid="c"), long, versioned(1, order_uid="a")])
    assert (error.index, error.sqlstate, error.where) == (1, "22001", "items.brand")


def test_an_exception_in_a_trigger_rejects_the_order(writer: PostgresOrderStore, admin: psycopg.Connection) -> None:
    admin.execute(
        "CREATE FUNCTION reject() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.city = 'poison' THEN RAISE 'no % here', NEW.name; END IF; RETURN NEW; END $$"
    )
    admin.execute("CREATE TRIGGER reject BEFORE INSERT ON deliveries FOR EACH ROW EXECUTE FUNCTION reject()")
    orders = [versioned(1, order_uid="a"), versioned(1, order_uid="b", delivery={"city": "poison", "name": "Testov"})]
    error = rejection(writer, orders)
    assert (error.index, error.sqlstate) == (1, "P0001")
    assert "Testov" not in f"{error} {error.where} {error.problem}"


RULES = {
    "an index": (
        "54000",
        """CREATE FUNCTION expanded(city text) RETURNS text IMMUTABLE LANGUAGE sql AS $$
             SELECT CASE city WHEN 'poison' THEN (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 300) i)
                    ELSE city END $$;
           CREATE INDEX ON deliveries (expanded(city))""",
    ),
    "a foreign key": (
        "23503",
        """CREATE TABLE cities (name text PRIMARY KEY);
           INSERT INTO cities VALUES ('Kiryat Mozkin');
           ALTER TABLE deliveries ADD FOREIGN KEY (city) REFERENCES cities DEFERRABLE INITIALLY DEFERRED""",
    ),
    "a trigger with its own SQLSTATE": (
        "ORD01",
        """CREATE FUNCTION reject() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE 'no' USING ERRCODE = 'ORD01'; END $$;
           CREATE TRIGGER reject BEFORE INSERT ON deliveries FOR EACH ROW WHEN (NEW.city = 'poison')
           EXECUTE FUNCTION reject()""",
    ),
}
"""The SQLSTATE and the statements of rules that an operator added, and that an order to `poison` violates."""


@pytest.mark.parametrize("rule", RULES)
def test_an_order_that_violates_an_operators_rule_is_rejected(
    writer: PostgresOrderStore, admin: psycopg.Connection, rule: str
) -> None:
    sqlstate, statements = RULES[rule]
    admin.execute(statements)
    bad = versioned(1, order_uid="bad", delivery={"city": "poison"})
    assert rejection(writer, [bad]).sqlstate == sqlstate
    assert writer.store([versioned(1, order_uid="good")]) == StoreCounts(new=1)


def test_a_full_notification_queue_is_not_the_orders_fault(own_postgres: "Postgres") -> None:
    limit_queue(own_postgres)
    with writing(own_postgres.dsn) as writer:
        with full_queue(own_postgres.dsn):
            assert failure(writer, versioned(1)).sqlstate == "54000"
        eventually(lambda: try_to_store(writer, [versioned(1)]), what="the order is stored")


@pytest.mark.parametrize("table", POISONS)
def test_the_error_for_a_rejected_order_contains_no_value(
    writer: PostgresOrderStore, admin: psycopg.Connection, table: str
) -> None:
    name, overrides = POISONS[table]
    add_check(admin, table, name)
    error = rejection(writer, [versioned(1, **overrides)])
    assert isinstance(error.__cause__, psycopg.Error)
    assert "Failing row contains" in str(error.__cause__), "the driver's message no longer contains the row"
    for shown in (str(error), repr(error), error.where, error.problem):
        assert not any(value in shown for value in ("Testov", "test@gmail.com", "wbpay", "Mascaras"))


def test_the_next_batch_after_a_rejection_is_stored(writer: PostgresOrderStore, admin: psycopg.Connection) -> None:
    add_check(admin, *("orders", "customer_id"))
    rejection(writer, [versioned(1, customer_id="poison")])
    assert writer.store([versioned(1)]) == StoreCounts(new=1)


def test_partitioned_tables_are_supported_and_rejected_orders_identified(
    writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    partition(admin, 3)
    admin.execute("ALTER TABLE items ADD CHECK (brand <> 'poison')")
    orders = [versioned(number, order_uid=f"uid-{number}") for number in range(20)]
    poison = versioned(20, order_uid="uid-20", items=[ITEM, ITEM | {"brand": "poison"}])
    assert rejection(writer, [*orders[:7], poison, *orders[7:]]).index == 7
    assert writer.store(orders) == StoreCounts(new=20)
    changed = [versioned(30 + number, order_uid=f"uid-{number}", locale="de") for number in range(10)]
    assert writer.store([*changed, *orders[10:]]) == StoreCounts(replaced=10, unchanged=10)
    assert stored_order(admin, "uid-3").locale == "de"


# Locks, timeouts and unresponsive servers


def failure(writer: PostgresOrderStore, *orders: VersionedOrder) -> StorageError:
    with pytest.raises(StorageError) as caught:
        writer.store(orders)
    return caught.value


def test_waiting_for_a_lock_ends_at_the_lock_timeout(database: str) -> None:
    with writing(database, lock_timeout=0.2) as writer, psycopg.connect(database) as other:
        writer.store([versioned(1, order_uid="a")])
        other.execute("SELECT * FROM orders FOR UPDATE")
        began = monotonic()
        assert failure(writer, versioned(2, order_uid="a", entry="other")).sqlstate == "55P03"
        assert monotonic() - began < 2
        other.rollback()
        assert writer.store([versioned(2, order_uid="a", entry="other")]) == StoreCounts(replaced=1)


def test_a_slow_statement_ends_at_the_statement_timeout(database: str) -> None:
    with writing(database, statement_timeout=0.2, lock_timeout=10) as writer, psycopg.connect(database) as other:
        other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        timed_out = failure(writer, versioned(1))
        assert isinstance(timed_out, StatementTimedOut)
        assert timed_out.sqlstate == "57014"
        other.rollback()
        assert writer.store([versioned(1)]) == StoreCounts(new=1)


def test_a_transaction_that_takes_longer_than_the_operator_allows_is_retried_in_halves(database: str) -> None:
    limited = f"{database}?options=-ctransaction_timeout%3D200"
    with writing(limited, lock_timeout=10) as writer, psycopg.connect(database) as other:
        other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        timed_out = failure(writer, versioned(1))
        assert isinstance(timed_out, StatementTimedOut)
        assert timed_out.sqlstate == "25P04"
        other.rollback()
        eventually(lambda: try_to_store(writer, [versioned(1)]))


def test_idle_sessions_outlast_the_operators_limit(database: str) -> None:
    transactions = Transactions(connection_settings(f"{database}?options=-cidle_session_timeout%3D10s", WRITER))
    with transactions.begin():
        pass
    with transactions.begin() as connection:
        assert connection.execute("SHOW idle_session_timeout").fetchone() == ("0",)
    transactions.close()


def test_timeouts_apply_to_the_transaction_only(database: str) -> None:
    transactions = Transactions(connection_settings(database, WRITER, statement_timeout=7, lock_timeout=3))
    with transactions.begin() as connection:
        assert connection.execute("SHOW statement_timeout").fetchone() == ("7s",)
        assert connection.execute("SHOW lock_timeout").fetchone() == ("3s",)
    assert connection.execute("SHOW statement_timeout").fetchone() == ("0",)
    transactions.close()


@pytest.mark.parametrize(("configured", "used"), [("off", "on"), ("remote_apply", "remote_apply")])
def test_a_commit_waits_until_it_is_on_disk(database: str, configured: str, used: str) -> None:
    dsn = f"{database}?options=-csynchronous_commit%3D{configured}"
    transactions = Transactions(connection_settings(dsn, WRITER))
    with transactions.begin() as connection:
        assert connection.execute("SHOW synchronous_commit").fetchone() == (used,)
    transactions.close()


def test_a_terminated_connection_is_replaced(writer: PostgresOrderStore, admin: psycopg.Connection) -> None:
    writer.store([versioned(1)])
    admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'writer'")
    assert failure(writer, versioned(2)).sqlstate in {"57P01", ""}
    assert writer.store([versioned(2)]) == StoreCounts(new=1)


def connections(admin: psycopg.Connection) -> list[int]:
    """Return the process ids of the writer's connections."""
    query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s"
    return [pid for (pid,) in admin.execute(query, [WRITER])]


def test_every_error_but_a_rejection_ends_the_connection(database: str, admin: psycopg.Connection) -> None:
    """After a failover, the old connection may lead to a demoted server."""
    add_check(admin, "orders", "customer_id")
    with writing(database, lock_timeout=0.2) as writer, psycopg.connect(database) as other:
        writer.store([versioned(1, order_uid="a")])
        (first,) = connections(admin)
        rejection(writer, [versioned(1, customer_id="poison")])
        assert connections(admin) == [first]
        other.execute("SELECT FROM orders FOR UPDATE")
        assert failure(writer, versioned(2, order_uid="a", entry="other")).sqlstate == "55P03"
        eventually(lambda: first not in connections(admin), what="the connection ends")
        other.rollback()
        assert writer.store([versioned(2, order_uid="a", entry="other")]) == StoreCounts(replaced=1)


def test_an_unreachable_server_is_a_temporary_error() -> None:
    with writing("postgresql://127.0.0.1:1/orders", connect_timeout=1) as writer:
        failed = "the connection to PostgreSQL failed: connection refused"
        assert str(failure(writer, versioned(1))) == failed


def test_a_missing_table_is_a_temporary_error(writer: PostgresOrderStore, admin: psycopg.Connection) -> None:
    admin.execute("ALTER TABLE items RENAME TO later")
    assert failure(writer, versioned(1)).sqlstate == "42P01"
    admin.execute("ALTER TABLE later RENAME TO items")
    assert writer.store([versioned(1)]) == StoreCounts(new=1)


def test_a_read_only_server_is_a_temporary_error(database: str) -> None:
    with writing(f"{database}?options=-cdefault_transaction_read_only%3Don") as writer:
        assert failure(writer, versioned(1)).sqlstate == "25006"


def test_a_type_changed_under_a_prepared_statement_is_a_temporary_error(
    writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    for offset in range(8):
        writer.store([versioned(offset, order_uid="a", entry=str(offset))])
    admin.execute("ALTER TABLE orders ALTER COLUMN source_topic TYPE text")
    eventually(lambda: try_to_store(writer, [versioned(9, order_uid="a", entry="9")]))


def test_orders_are_stored_without_prepared_statements(database: str, admin: psycopg.Connection) -> None:
    with writing(database, prepared_statements=False) as writer:
        for offset in range(8):
            writer.store([versioned(offset, order_uid="a", entry=str(offset))])
        transaction = writer._transactions.begin()
        with transaction as connection:
            assert connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
    assert stored_order(admin, "a").entry == "7"


def test_a_frozen_server_times_out(own_postgres: "Postgres") -> None:
    with writing(own_postgres.dsn, statement_timeout=1, connect_timeout=1) as writer:
        writer.store([versioned(1)])
        own_postgres.freeze()
        began = monotonic()
        assert failure(writer, versioned(2)).sqlstate == ""
        assert monotonic() - began < 1 + GRACE_SECONDS + 2
        began = monotonic()
        assert failure(writer, versioned(2)).sqlstate == ""
        assert monotonic() - began < 3
        own_postgres.thaw()
        assert writer.store([versioned(2)]) == StoreCounts(new=1)


def test_a_server_that_freezes_during_a_copy_times_out(own_postgres: "Postgres", background: Background) -> None:
    with (
        psycopg.connect(own_postgres.dsn) as other,
        psycopg.connect(own_postgres.dsn, autocommit=True) as watcher,
        writing(own_postgres.dsn, statement_timeout=1) as writer,
    ):
        other.execute("LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE")
        began = monotonic()
        storing = background(lambda: writer.store([versioned(1)]))
        wait_until_blocked(watcher, WRITER, storing)
        own_postgres.freeze()
        with pytest.raises(StorageUnavailable):
            storing.result(timeout=60)
        took = monotonic() - began
        own_postgres.thaw()
        other.rollback()
        assert took < 1 + GRACE_SECONDS + 3
        eventually(lambda: try_to_store(writer, [versioned(1)]))


def test_writer_recovers_after_postgresql_restarts(own_postgres: "Postgres") -> None:
    with writing(own_postgres.dsn) as writer:
        writer.store([versioned(1, order_uid="a")])
        own_postgres.kill()
        assert not try_to_store(writer, [versioned(2)])
        own_postgres.start()
        eventually(lambda: try_to_store(writer, [versioned(2)]))
        assert writer.store([versioned(1, order_uid="a")]) == StoreCounts(unchanged=1)

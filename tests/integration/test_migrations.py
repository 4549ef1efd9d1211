"""Schema migrations on a real PostgreSQL: results, concurrency, and waiting."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Timer
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from psycopg.rows import TupleRow

import migrations
from service.config import MigrationSettings
from service.errors import CommandFailed, Stopped
from service.pkg.shutdown_event import ShutdownEvent
from service.repo.conninfo import Conninfo
from service.repo.schema.migrate import (
    LOCK_KEY,
    alembic_config,
    engine,
    head_number,
    migrate,
    schema_number,
    take_lock,
    wait_for_migrations,
)
from service.repo.schema.tables import metadata
from service.repo.shards import shard_of
from tests.kit import servers, temporary
from tests.kit.processes import Spawn
from tests.kit.waiting import eventually

LIMITS = MigrationSettings(timeout=30, lock_timeout=0.2)
CATALOG = {
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, l.collname,
               pg_get_expr(d.adbin, d.adrelid)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_collation l ON l.oid = a.attcollation
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
        ORDER BY c.relname, a.attname""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2""",
    "indexes": "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2",
}


@pytest.fixture
def empty(postgres_server: servers.Postgres) -> Iterator[str]:
    """URL of a new database without a schema."""
    with temporary.database(postgres_server.dsn) as (_, dsn):
        yield dsn


def rows(dsn: str, statement: str) -> list[TupleRow]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(statement).fetchall()


def catalog(dsn: str) -> dict[str, list[TupleRow]]:
    result = {what: rows(dsn, statement) for what, statement in CATALOG.items()}
    return {what: [row for row in found if row[0] != "alembic_version"] for what, found in result.items()}


def without_kafka(dsn: str) -> dict[str, str]:
    """Environment of a process that uses a database and no Kafka."""
    return {
        "ORDERS_POSTGRES__DSN": dsn,
        "ORDERS_KAFKA__CREATE_TOPICS": "false",
        "ORDERS_MODE": "api",
        "ORDERS_MIGRATION__TIMEOUT": "30s",
    }


def test_migrations_match_the_metadata(database: str) -> None:
    with engine(Conninfo(database), LIMITS).connect() as connection:
        options = {"compare_server_default": True, "target_metadata": metadata}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_migrations_create_the_same_catalog_as_the_metadata(database: str, empty: str) -> None:
    with engine(Conninfo(empty), LIMITS).begin() as connection:
        metadata.create_all(connection)
    assert catalog(database) == catalog(empty)


def test_every_revision_is_numbered(database: str) -> None:
    versions = sorted((Path(str(migrations.__file__)).parent / "versions").glob("*.py"))
    assert [
        (number, revision) for number, revision in rows(database, "SELECT number, revision FROM schema_releases")
    ] == [(number, f"{number:04}") for number in range(1, len(versions) + 1)]
    assert schema_number(Conninfo(database)) == head_number() == len(versions)


def test_migrating_again_changes_nothing(database: str) -> None:
    before = rows(database, "SELECT * FROM schema_releases")
    lines: list[str] = []
    migrate(Conninfo(database), LIMITS, echo=lines.append)
    assert rows(database, "SELECT * FROM schema_releases") == before
    newest = f"{head_number():04}"
    assert lines == [f"schema: at {newest}, this release needs {newest}: nothing to do"]


def test_each_revision_keeps_the_schema_and_the_writes_of_earlier_releases(empty: str) -> None:
    with engine(Conninfo(empty), LIMITS).connect() as connection:
        command.upgrade(alembic_config(connection), "0001")
        before = catalog(empty)
        write_order(empty, "before")
        for number in range(2, head_number() + 1):
            command.upgrade(alembic_config(connection), f"{number:04}")
            write_order(empty, f"after-{number}")
            after = catalog(empty)
            assert [row for what, found in before.items() for row in found if row not in after[what]] == []
            before = after
    assert rows(empty, "SELECT count(*) FROM orders") == [(head_number(),)]


def write_order(dsn: str, uid: str) -> None:
    """Insert an order like the first release; later revisions must still accept it."""
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO orders (id, shard, order_uid, track_number, entry, locale, internal_signature, customer_id,"
            " delivery_service, shardkey, sm_id, date_created, oof_shard, source_topic, source_partition,"
            " source_offset, source_timestamp)"
            " VALUES (nextval('orders_id_seq'), %s, %s, 't', 'e', 'en', NULL, 'c', 'd', '9', 1, now(), '1', 'orders',"
            " 0, 1, now())",
            [shard_of(uid), uid],
        )


@pytest.mark.parametrize("work", [migrate, wait_for_migrations])
def test_a_database_of_an_unreleased_version_is_reported(database: str, work: Callable[..., None]) -> None:
    """Its tables differ, although its revision is the same."""
    with psycopg.connect(database) as connection:
        connection.execute("ALTER TABLE items RENAME COLUMN order_id TO order_uid")
        connection.execute("ALTER TABLE orders DROP COLUMN shard CASCADE")
    with pytest.raises(CommandFailed, match=r"missing: items\.order_id, orders\.shard \(.* use an empty database"):
        work(Conninfo(database), LIMITS)


@pytest.mark.parametrize("command", ["migrate", "wait-for-migrations"])
def test_an_older_release_succeeds_and_leaves_a_newer_schema_unchanged(
    database: str, spawn: Spawn, command: str
) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO schema_releases (number, revision) VALUES (9999, '9999')")
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = catalog(database)
    assert spawn(command, settings=without_kafka(database)).process.wait(30) == 0
    assert catalog(database) == before
    assert rows(database, "SELECT version_num FROM alembic_version") == [("9999",)]


def test_concurrent_migrations_succeed_and_migrate_once(empty: str, spawn: Spawn) -> None:
    both = [spawn("migrate", settings=without_kafka(empty)) for _ in range(2)]
    assert [each.process.wait(60) for each in both] == [0, 0]
    assert sum("migrated from 0000" in each.tail() for each in both) == 1
    assert schema_number(Conninfo(empty)) == head_number()


def test_a_second_migration_waits_for_the_first(empty: str) -> None:
    lines: list[str] = []
    with psycopg.connect(empty) as first:
        first.execute(f"SELECT pg_advisory_xact_lock({LOCK_KEY})".encode())
        with pytest.raises(CommandFailed, match="waiting for another migration to finish"):
            migrate(Conninfo(empty), MigrationSettings(timeout=1.5), echo=lines.append)
        assert [line.partition(" (")[0] for line in lines] == ["waiting for another migration to finish"]
        assert schema_number(Conninfo(empty)) == 0
    migrate(Conninfo(empty), LIMITS)
    assert schema_number(Conninfo(empty)) == head_number()


def test_a_lock_timeout_is_retried(empty: str) -> None:
    """Another transaction creates a table of the same name, which blocks like a lock on any altered table."""
    lines: list[str] = []
    with psycopg.connect(empty) as other, psycopg.connect(empty, autocommit=True) as probe:
        other.execute("CREATE TABLE schema_releases (other int)")

        def release(line: str) -> None:
            lines.append(line)
            other.rollback()

        migrate(Conninfo(empty), MigrationSettings(timeout=30, lock_timeout=0.2), echo=release)
        assert probe.execute("SELECT max(number) FROM schema_releases").fetchone() == (head_number(),)
    problem = "an object is locked or not in the required state (SQLSTATE 55P03)"
    assert lines[0].startswith(f"waiting for PostgreSQL: {problem} (")


def test_a_rejected_statement_fails_at_once_without_quoting_postgresql(empty: str) -> None:
    with psycopg.connect(empty) as connection:
        connection.execute("CREATE TABLE orders (secret_column int)")
    with pytest.raises(CommandFailed) as raised:
        migrate(Conninfo(empty), LIMITS)
    assert str(raised.value) == (
        "PostgreSQL rejected a statement: the schema or the role's privileges do not match this release "
        "(SQLSTATE 42P07). PostgreSQL's log has the statement."
    )
    assert raised.value.__cause__ is None
    assert rows(empty, "SELECT to_regclass('schema_releases')") == [(None,)]


def test_waiting_ends_when_the_schema_is_migrated(empty: str) -> None:
    migration = Timer(1.2, migrate, (Conninfo(empty), LIMITS))
    lines: list[str] = []
    migration.start()
    wait_for_migrations(Conninfo(empty), LIMITS, echo=lines.append)
    assert lines[0].startswith(
        f"waiting for the schema migration: it is at 0000, this release needs {head_number():04} ("
    )
    migration.join()


@pytest.mark.parametrize(
    ("dsn", "problem"),
    [
        ("postgresql://u:hunter2@nowhere.invalid/x", "nowhere.invalid:5432: host name does not resolve"),
        ("postgresql://u:hunter2@127.0.0.1:1/x", "127.0.0.1:1: connection refused"),
        ("host=/nowhere password=hunter2", "/nowhere: no such socket"),
    ],
)
def test_an_unreachable_server_is_retried_until_the_deadline(dsn: str, problem: str) -> None:
    lines: list[str] = []
    with pytest.raises(CommandFailed) as raised:
        migrate(Conninfo(dsn), MigrationSettings(timeout=1.5), echo=lines.append)
    assert [line.rpartition(" (")[0] for line in lines] == [f"waiting for PostgreSQL at {problem}"]
    assert "hunter2" not in str(raised.value)


def test_an_invalid_dsn_fails_at_once() -> None:
    with pytest.raises(CommandFailed, match="invalid connection string"):
        migrate(Conninfo("password=hunter2 nonsense"), LIMITS)


def test_a_shutdown_request_ends_the_wait_at_once() -> None:
    stop = ShutdownEvent()
    Timer(0.3, stop.set).start()
    with pytest.raises(Stopped, match="stopped while waiting for PostgreSQL at"):
        wait_for_migrations(
            Conninfo("postgresql://127.0.0.1:1/x"), MigrationSettings(timeout=600), echo=lambda _: None, stop=stop
        )


def test_a_server_that_never_responds_times_out_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dsn = f"postgresql://127.0.0.1:{listener.getsockname()[1]}/x"
        with pytest.raises(CommandFailed, match=r"timed out after 1 s waiting for PostgreSQL"):
            migrate(Conninfo(dsn), MigrationSettings(timeout=1))


def test_sigterm_ends_the_command_at_once_with_exit_code_1(spawn: Spawn) -> None:
    waiting = spawn("wait-for-migrations", settings=without_kafka("postgresql://127.0.0.1:1/x"))
    eventually(lambda: "waiting for PostgreSQL" in waiting.tail(), within=30)
    assert waiting.stop(within=20) == 1
    assert "stopped while waiting for PostgreSQL at 127.0.0.1:1: connection refused" in waiting.tail()


def test_the_lock_is_released(database: str) -> None:
    migrate(Conninfo(database), LIMITS)
    assert rows(database, f"SELECT pg_try_advisory_xact_lock({LOCK_KEY})") == [(True,)]


def test_every_transaction_of_a_migration_has_timeouts(database: str) -> None:
    limits: dict[str, Any] = {"lock_timeout": 0.25, "statement_timeout": 7}
    with engine(Conninfo(database), MigrationSettings(**limits)).connect() as connection:
        shown = [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in limits]
        assert shown == ["250ms", "7s"]
        connection.rollback()
        assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "250ms"


def test_a_migration_may_take_longer_than_other_transactions(empty: str) -> None:
    limited = f"{empty}?options=-ctransaction_timeout%3D30s"
    with psycopg.connect(limited) as locking:
        take_lock(locking)
        assert locking.execute("SHOW transaction_timeout").fetchone() == ("0",)
    with engine(Conninfo(limited), LIMITS).connect() as connection:
        assert connection.exec_driver_sql("SHOW transaction_timeout").scalar() == "0"

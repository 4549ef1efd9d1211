"""The roles that roles.sql creates have exactly the privileges that each command needs."""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import psycopg
import pytest
from psycopg.errors import RaiseException
from psycopg.sql import SQL, Identifier, Literal

from service.app.commands.doctor import command as doctor
from service.config import KafkaSettings, MigrationSettings, PostgresSettings, Settings
from service.errors import CheckFailed, CommandFailed, SchemaMismatch, StorageUnavailable
from service.pkg.shutdown_event import ShutdownEvent
from service.repo.conninfo import Conninfo
from service.repo.operations import postgres_checks
from service.repo.schema.migrate import migrate, wait_for_migrations
from service.repo.schema.rights import READING, WRITING
from service.repo.transactions import Transactions
from tests.kit import servers, temporary
from tests.kit.factories import SAMPLE, connection_settings, order_document, versioned
from tests.kit.harness import Harness, metric, orders
from tests.kit.processes import ROOT, Service, Spawn
from tests.kit.psql import client, psql
from tests.kit.readers import RealReads, document
from tests.kit.roles import ACLS, COLUMNS, KINDS, Logins, assert_privileges_are_exact, is_denied, rows
from tests.kit.stores import erasing, store, writing
from tests.kit.waiting import eventually

SCRIPT = ROOT / "chart" / "files" / "roles.sql"
DSN = "ORDERS_POSTGRES__DSN"
PASSWORD = "a-password"  # noqa: S105 - of temporary roles
Run = Callable[[Logins], None]
UID = SAMPLE["order_uid"]

CHANGES = {
    **{f"INSERT INTO {table} DEFAULT VALUES": (table, "INSERT") for table in COLUMNS},
    **{f"COPY {table} FROM STDIN": (table, "INSERT") for table in COLUMNS},
    **{f"UPDATE {table} SET {column} = NULL": (table, "UPDATE") for table, column in COLUMNS.items()},  # noqa: S608
    **{f"SELECT FROM {table} FOR UPDATE": (table, "UPDATE") for table in COLUMNS},
    **{f"DELETE FROM {table}": (table, "DELETE") for table in COLUMNS},  # noqa: S608
}
"""Statements, with the privilege that each requires."""
NEVER = [
    *(f"TRUNCATE {table} CASCADE" for table in COLUMNS),
    *(f"DROP TABLE {table} CASCADE" for table in COLUMNS),
    *(f"ALTER TABLE {table} ADD COLUMN more int" for table in COLUMNS),
    "CREATE INDEX more ON orders (entry)",
    "CREATE TABLE more (id int)",
    "CREATE TEMPORARY TABLE more (id int)",
    "CREATE VIEW more AS SELECT 1",
    "CREATE FUNCTION more() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE SCHEMA more",
    "CREATE ROLE more",
    "SELECT lo_creat(0)",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'large')",
]


@pytest.fixture
def bare(postgres_server: servers.Postgres) -> Iterator[Logins]:
    """A database before roles.sql, and the logins that roles.sql creates. Roles are dropped with the database."""
    with temporary.database(postgres_server.dsn) as (name, dsn):
        address = urlsplit(dsn)
        host = address.netloc.rpartition("@")[2]
        logins = Logins(
            dsn, *(address._replace(netloc=f"{name}_{kind}:{PASSWORD}@{host}").geturl() for kind in (*KINDS, "owner"))
        )
        yield logins
    with psycopg.connect(postgres_server.dsn, autocommit=True) as admin:
        for kind in (*KINDS, "owner"):
            admin.execute(SQL("DROP ROLE IF EXISTS {}").format(Identifier(logins.name(kind))))


@pytest.fixture
def logins(bare: Logins) -> Logins:
    """The database after roles.sql, without tables."""
    run_script(bare)
    return with_passwords(bare)


@pytest.fixture
def migrated(logins: Logins) -> Logins:
    migrate(Conninfo(logins.migrate), MigrationSettings())
    return logins


@pytest.fixture
def restored(logins: Logins, postgres_server: servers.Postgres) -> Iterator[Logins]:
    """The logins for a new database, which the migrating role owns."""
    with temporary.database(postgres_server.dsn) as (name, dsn):
        with psycopg.connect(dsn, autocommit=True) as admin:
            owner = Identifier(logins.name("migrate"))
            admin.execute(SQL("ALTER DATABASE {} OWNER TO {}").format(Identifier(name), owner))
        yield Logins(*(urlsplit(login)._replace(path=f"/{name}").geturl() for login in logins))


@pytest.fixture
def database(logins: Logins) -> str:
    """The URL with which the harness queries tables."""
    return logins.superuser


def run_script(logins: Logins, dsn: str | None = None) -> None:
    with psycopg.connect(dsn or logins.superuser, autocommit=True) as connection:
        for kind in KINDS:
            connection.execute("SELECT set_config(%s, %s, false)", [f"orders.{kind}_role", logins.name(kind)])
        connection.execute(SCRIPT.read_bytes())


def with_passwords(logins: Logins) -> Logins:
    with psycopg.connect(logins.superuser, autocommit=True) as connection:
        for kind in KINDS:
            role = Identifier(logins.name(kind))
            connection.execute(SQL("ALTER ROLE {} PASSWORD {}").format(role, Literal(PASSWORD)))
    return logins


def run_script_by_psql(logins: Logins) -> None:
    names = [f"--command=SET orders.{kind}_role = '{logins.name(kind)}'" for kind in KINDS]
    psql("--dbname", logins.superuser, *names, "--file", str(SCRIPT))


def test_each_command_works_with_its_own_role(harness: Harness, logins: Logins) -> None:
    assert exit_code(harness, logins.migrate, "migrate") == 0
    assert exit_code(harness, logins.write, "migrate") == 0  # the schema is current, so only topics may be missing
    for mode, login in (("consumer", logins.write), ("api", logins.read)):
        assert exit_code(harness, login, "wait-for-migrations", ORDERS_MODE=mode) == 0
    consumer = harness.consumer(**{DSN: logins.write})
    api = harness.spawn("api", settings={**harness.settings, DSN: logins.read}).ready()
    harness.produce(*orders([order_document(order_uid=UID)]))
    eventually(lambda: get_order(api).status_code == 200, what="the order")
    harness.produce(*orders([order_document(order_uid=UID, locale="new")]))
    eventually(lambda: get_order(api).json()["locale"] == "new", 5, "the replaced order")
    harness.produce(*orders([order_document(order_uid=UID, locale="new")]))
    eventually(lambda: metric(consumer, "orders_unchanged_total") > 0, what="the order with an unchanged document")
    assert metric(consumer, "orders_replaced_total") == 1
    warm = harness.spawn("api", settings={**harness.settings, DSN: logins.read}).ready()
    assert get_order(warm).headers["x-cache"] == "hit"
    assert httpx2.get(f"{api.url}/orders").json()["orders"][0]["order_uid"] == UID
    eventually(lambda: httpx2.get(f"{api.url}/stats").json()["stored"] == 1, what="the estimate")
    for mode, login in (("consumer", logins.write), ("api", logins.read)):
        assert exit_code(harness, login, "doctor", ORDERS_MODE=mode) == 0


def test_a_dump_is_restored_to_a_new_database_and_the_script_grants_the_privileges(
    migrated: Logins, restored: Logins, tmp_path: Path
) -> None:
    dump = str(tmp_path / "orders.dump")
    psql("--dbname", migrated.migrate, "--command", f"INSERT INTO erased VALUES (sha256('{UID}'))")  # noqa: S608
    client("pg_dump", "--format=custom", "--file", dump, "--dbname", migrated.migrate)
    client("pg_restore", "--dbname", restored.migrate, "--no-owner", "--no-privileges", "--exit-on-error", dump)
    run_script(restored)
    assert_privileges_are_exact(restored)
    assert rows(restored.read, "SELECT * FROM erased") == rows(migrated.read, "SELECT * FROM erased") != []
    wait_for_migrations(Conninfo(restored.read), MigrationSettings(timeout=5))


def exit_code(harness: Harness, login: str, command: str, **variables: str) -> int:
    return harness.spawn(command, settings={**harness.settings, DSN: login, **variables}).process.wait(60)


def get_order(api: Service) -> httpx2.Response:
    return httpx2.get(f"{api.url}/orders/{UID}")


def test_a_writer_terminates_a_frozen_one_of_its_role(migrated: Logins) -> None:
    """The frozen writer has sent half of a COPY, for whose rest PostgreSQL waits without a timeout."""
    with psycopg.connect(migrated.write, application_name="tests") as frozen:
        frozen.pgconn.send_query(b"COPY orders FROM STDIN")
        transactions = Transactions(connection_settings(migrated.write, "tests", lock_timeout=0))
        eventually(lambda: is_terminated(transactions, frozen.info.backend_pid, migrated), what="its termination")
        transactions.close()
        frozen.pgconn.finish()


def is_terminated(transactions: Transactions, pid: int, logins: Logins) -> bool:
    transactions.terminate_frozen()
    return rows(logins.superuser, f"SELECT FROM pg_stat_activity WHERE pid = {pid}") == []


@pytest.mark.parametrize("kind", ["read", "write"])
def test_a_role_has_no_other_privileges(kind: str, migrated: Logins) -> None:
    allowed = READING | WRITING if kind == "write" else READING
    forbidden = [statement for statement, privilege in CHANGES.items() if privilege not in allowed] + NEVER
    assert [each for each in forbidden if not is_denied(getattr(migrated, kind), each)] == []


@pytest.mark.parametrize("run", [run_script, run_script_by_psql])
def test_privileges_are_exact_if_the_script_runs_after_the_migration(run: Run, bare: Logins) -> None:
    """An installation with one login can be upgraded: the owner of the tables becomes the migrating role."""
    with psycopg.connect(bare.superuser) as admin:
        owner = Identifier(bare.name("migrate"))
        admin.execute(SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(owner, Literal(PASSWORD)))
        admin.execute(SQL("GRANT CREATE ON SCHEMA public TO {}").format(owner))
    migrate(Conninfo(bare.migrate), MigrationSettings())
    run(bare)
    assert_privileges_are_exact(with_passwords(bare))


def test_privileges_are_exact_if_the_migration_runs_after_the_script(migrated: Logins) -> None:
    assert_privileges_are_exact(migrated)


def test_running_the_script_again_changes_nothing(migrated: Logins) -> None:
    before = rows(migrated.superuser, ACLS)
    run_script(migrated)
    assert rows(migrated.superuser, ACLS) == before


def test_running_the_script_again_revokes_extra_privileges(migrated: Logins) -> None:
    reader = Identifier(migrated.name("read"))
    with psycopg.connect(migrated.superuser) as admin:
        admin.execute(SQL("GRANT ALL ON ALL TABLES IN SCHEMA public TO {}").format(reader))
        admin.execute(SQL("GRANT CREATE ON SCHEMA public TO PUBLIC, {}").format(reader))
        admin.execute(SQL("GRANT TEMPORARY ON DATABASE {} TO {}").format(Identifier(database_of(migrated)), reader))
        admin.execute(
            SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA public GRANT ALL ON TABLES TO {}").format(
                Identifier(migrated.name("migrate")), reader
            )
        )
    assert not is_denied(migrated.read, "DELETE FROM orders")
    run_script(migrated)
    assert_privileges_are_exact(migrated)
    assert is_denied(migrated.read, "CREATE TEMPORARY TABLE more (id int)")
    assert is_denied(migrated.read, "CREATE TABLE more (id int)")
    assert_only_the_writer_may_write_a_new_table(migrated)


def database_of(logins: Logins) -> str:
    return urlsplit(logins.superuser).path[1:]


def test_a_table_of_a_later_migration_gets_default_privileges(migrated: Logins) -> None:
    assert_only_the_writer_may_write_a_new_table(migrated)


def assert_only_the_writer_may_write_a_new_table(migrated: Logins) -> None:
    with psycopg.connect(migrated.migrate) as owner:
        owner.execute("CREATE TABLE later (id int)")
    for login in (migrated.read, migrated.write):
        assert rows(login, "SELECT id FROM later") == []
    assert is_denied(migrated.read, "INSERT INTO later VALUES (1)")
    assert not is_denied(migrated.write, "INSERT INTO later VALUES (1)")


def test_the_owner_of_the_database_can_run_the_script_with_createrole(bare: Logins) -> None:
    database = Identifier(database_of(bare))
    owner = Identifier(bare.name("owner"))
    with psycopg.connect(bare.superuser) as admin:
        admin.execute(SQL("CREATE ROLE {} LOGIN CREATEROLE PASSWORD {}").format(owner, Literal(PASSWORD)))
        admin.execute(SQL("ALTER DATABASE {} OWNER TO {}").format(database, owner))
    run_script(bare, bare.owner)
    migrate(Conninfo(with_passwords(bare).migrate), MigrationSettings())
    assert_privileges_are_exact(bare)
    run_script(bare, bare.owner)
    assert_privileges_are_exact(bare)


def test_other_roles_may_not_connect(logins: Logins) -> None:
    with psycopg.connect(logins.superuser) as admin:
        other = SQL("CREATE ROLE {} LOGIN PASSWORD {}")
        admin.execute(other.format(Identifier(logins.name("owner")), Literal(PASSWORD)))
    with pytest.raises(CommandFailed, match=r"permission denied: see roles\.sql"):
        wait_for_migrations(Conninfo(logins.owner), MigrationSettings(timeout=1))


def test_a_role_without_login_is_reported(logins: Logins) -> None:
    with psycopg.connect(logins.superuser) as admin:
        admin.execute(SQL("ALTER ROLE {} NOLOGIN").format(Identifier(logins.name("read"))))
    with pytest.raises(CommandFailed, match="authentication failed: the role has no LOGIN"):
        wait_for_migrations(Conninfo(logins.read), MigrationSettings(timeout=1))


def test_the_script_rejects_one_role_for_two_parts(bare: Logins) -> None:
    with pytest.raises(RaiseException, match="the three roles must be different"):
        run_script(bare._replace(read=bare.write))
    assert rows(bare.superuser, f"SELECT FROM pg_roles WHERE rolname = '{bare.name('migrate')}'") == []


def test_the_script_rejects_tables_of_another_role_with_a_hint(bare: Logins) -> None:
    migrate(Conninfo(bare.superuser), MigrationSettings())
    with pytest.raises(RaiseException, match="is owned by") as raised:
        run_script(bare)
    assert f"TO {bare.name('migrate')}" in str(raised.value.diag.message_hint)


def test_a_consumer_without_write_privileges_logs_it_and_waits(harness: Harness, migrated: Logins) -> None:
    consumer = harness.consumer(**{DSN: migrated.read})
    harness.produce(*orders([order_document(order_uid=UID)]))
    eventually(lambda: '"sqlstate":"42501"' in consumer.log.read_text().replace(": ", ":"), what="the reason")
    assert "the schema or the role's privileges do not match this release" in consumer.log.read_text()
    assert (harness.stored(), harness.dead_letters(), harness.committed()) == (set(), [], {})
    with psycopg.connect(migrated.superuser) as admin:
        writer, reader = Identifier(migrated.name("write")), Identifier(migrated.name("read"))
        admin.execute(SQL("GRANT {} TO {}").format(writer, reader))
    harness.wait_stored({UID})


def test_an_api_without_read_privileges_logs_it_and_waits(spawn: Spawn, migrated: Logins) -> None:
    reader = Identifier(migrated.name("read"))
    with psycopg.connect(migrated.superuser) as admin:
        admin.execute(SQL("REVOKE SELECT ON items FROM {}").format(reader))
    api = spawn("api", settings={DSN: migrated.read, "ORDERS_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9"})
    eventually(lambda: '"sqlstate":"42501"' in api.log.read_text().replace(": ", ":"), 30, "the reason")
    run_script(migrated)
    api.ready()


def test_doctor_lists_the_missing_privileges(
    migrated: Logins, settings: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    kafka = KafkaSettings(
        bootstrap_servers=settings["ORDERS_KAFKA__BOOTSTRAP_SERVERS"],
        topic=settings["ORDERS_KAFKA__TOPIC"],
        dead_letter_topic=settings["ORDERS_KAFKA__DEAD_LETTER_TOPIC"],
    )
    missing = "DELETE on deliveries, INSERT on deliveries, DELETE on items, INSERT on items"
    for mode, login, line in (
        ("api", migrated.read, "✓ privileges             can only read orders\n"),
        ("consumer", migrated.write, "✓ privileges             can read and write orders\n"),
        ("consumer", migrated.read, f"✗ privileges             permission denied: {missing}"),
    ):
        doctor.run(
            argparse.Namespace(json=False),
            Settings(mode=mode, kafka=kafka, postgres=PostgresSettings(dsn=login)),
            ShutdownEvent(),
        )
        assert line in capsys.readouterr().out


def as_superuser(logins: Logins, *statements: str) -> None:
    with psycopg.connect(logins.superuser, autocommit=True) as admin:
        for statement in statements:
            admin.execute(SQL(statement).format(write=Identifier(logins.name("write"))))


@pytest.fixture
def stored(migrated: Logins) -> Logins:
    store(migrated.write, versioned(1, order_uid=UID))
    return migrated


@pytest.mark.parametrize("policy", ["", "CREATE POLICY most ON orders USING (customer_id <> 'test')"])
@pytest.mark.parametrize("table", ["orders", "erased"])
def test_rows_that_row_level_security_hides_are_an_error(table: str, policy: str, stored: Logins) -> None:
    as_superuser(stored, f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY", policy or "SELECT")
    with erasing(stored.migrate) as erasures, pytest.raises(SchemaMismatch, match="row-level security hides rows"):
        erasures.erase([UID])
    with writing(stored.write) as writer, pytest.raises(SchemaMismatch, match="row-level security hides rows"):
        writer.store([versioned(2, order_uid=UID, entry="new")])
    with pytest.raises(StorageUnavailable, match="row-level security hides rows"):
        RealReads(stored.read).read(lambda reads: reads.erased_at(UID) if table == "erased" else document(reads, UID))
    with pytest.raises(CheckFailed, match="row-level security hides rows"):
        postgres_checks.session(PostgresSettings(dsn=stored.read))


def test_an_erasure_with_the_settings_of_a_replica_leaves_no_row(stored: Logins) -> None:
    as_superuser(
        stored,
        "ALTER ROLE {write} SET session_replication_role = replica",
        "GRANT SET ON PARAMETER session_replication_role TO {write}",
        "GRANT INSERT, UPDATE ON erased TO {write}",
        "GRANT DELETE ON orders TO {write}",
    )
    with erasing(stored.write) as erasures:
        assert erasures.erase([UID]) == {UID}
    assert (
        rows(stored.superuser, "SELECT FROM deliveries UNION ALL SELECT FROM payments UNION ALL SELECT FROM items")
        == []
    )
    as_superuser(stored, "REVOKE SET ON PARAMETER session_replication_role FROM {write}")
    with writing(stored.write) as writer, pytest.raises(SchemaMismatch, match="42501"):
        writer.store([versioned(1, order_uid="other")])
    with pytest.raises(CheckFailed, match="session_replication_role is replica"):
        postgres_checks.session(PostgresSettings(dsn=stored.write))


def test_a_search_path_that_finds_tables_of_two_schemas_is_an_error(stored: Logins) -> None:
    as_superuser(
        stored,
        "CREATE SCHEMA other",
        "CREATE TABLE other.erased (LIKE erased INCLUDING ALL)",
        "GRANT USAGE ON SCHEMA other TO {write}",
        "ALTER ROLE {write} SET search_path = other, public",
    )
    problem = r"search_path finds other\.erased in another schema than orders"
    with pytest.raises(CommandFailed, match=problem):
        wait_for_migrations(Conninfo(stored.write), MigrationSettings(timeout=5))
    with pytest.raises(CheckFailed, match=problem):
        postgres_checks.columns(PostgresSettings(dsn=stored.write))

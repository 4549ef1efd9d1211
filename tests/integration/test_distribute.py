"""`orders distribute` on PostgreSQL without Citus, and with stand-ins of its functions and catalogs."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.sql import SQL, Identifier, Literal

from service import main
from service.app.database import ApplicationName
from service.errors import StorageError
from service.repo.operations.distribution import PostgresTableDistributor
from service.repo.transactions import Transactions
from service.repo.writer.order_store import PostgresOrderStore
from service.usecases.ports.operations import Placement, TableDistributor
from tests.kit import citus
from tests.kit.factories import connection_settings, versioned
from tests.kit.fakes import FakeTableDistributor

STATEMENTS = [
    "SELECT create_reference_table('erased')",
    "SELECT create_distributed_table('orders', 'shard', shard_count => 32)",
    "SELECT create_reference_table('schema_releases')",
    "SELECT create_distributed_table('deliveries', 'shard', colocate_with => 'orders')",
    "SELECT create_distributed_table('items', 'shard', colocate_with => 'orders')",
    "SELECT create_distributed_table('order_versions', 'shard', colocate_with => 'orders')",
    "SELECT create_distributed_table('payments', 'shard', colocate_with => 'orders')",
]
IN_GROUP = ("orders", "deliveries", "payments", "items", "order_versions")
NOTHING_TO_DO = ["all tables are distributed: nothing to do"]
PASSWORD = "a-password"  # noqa: S105 - of a temporary role

Distribute = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture
def distribute(database: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Distribute:
    """Run `orders distribute ARGUMENTS`; return its exit code and the lines of standard output and standard error."""

    def run(*arguments: str, dsn: str = database) -> tuple[int, list[str], list[str]]:
        monkeypatch.setenv("ORDERS_POSTGRES__DSN", dsn)
        code = main.main(["distribute", *arguments])
        captured = capfd.readouterr()
        return code, captured.out.splitlines(), captured.err.splitlines()

    return run


@pytest.fixture
def coordinator(admin: psycopg.Connection) -> psycopg.Connection:
    """A superuser connection to a database that pretends to be the coordinator of Citus."""
    citus.pretend_preloaded(admin)
    citus.create_extension(admin)
    return admin


def statements(lines: list[str]) -> list[str]:
    return [line.partition(";")[0] for line in lines]


def placements(admin: psycopg.Connection) -> dict[str, tuple[str, int]]:
    """Return the method and the group of each table that is distributed."""
    rows = admin.execute("SELECT logicalrelid::text, partmethod::text, colocationid FROM pg_dist_partition")
    return {name: (method, group) for name, method, group in rows}


# Without Citus, or with a part of it


def test_json_has_the_tables_and_what_prevents_their_distribution(distribute: Distribute) -> None:
    code, output, _ = distribute("--dry-run", "--json")
    report = json.loads("".join(output))
    assert code == 1
    assert [table["statement"] for table in report["remaining"]] == STATEMENTS
    assert (report["distributed"], report["is_dry_run"]) == ([], True)
    assert "Citus is not installed" in report["obstacles"][0]


def test_without_citus_the_dry_run_prints_the_statements_and_both_fail(distribute: Distribute) -> None:
    error = (
        "orders: cannot distribute the tables: Citus is not installed: install it on every node, add citus to "
        "shared_preload_libraries, restart PostgreSQL, and run CREATE EXTENSION citus in this database"
    )
    code, output, errors = distribute("--dry-run")
    assert (code, statements(output), errors) == (1, STATEMENTS, [error])
    assert distribute() == (1, [], [error])


def test_a_database_without_the_extension_is_reported(distribute: Distribute, admin: psycopg.Connection) -> None:
    citus.pretend_preloaded(admin)
    code, _, errors = distribute()
    assert code == 1
    assert errors == [
        "orders: cannot distribute the tables: this database lacks the extension citus: run CREATE EXTENSION citus"
    ]


def test_a_server_that_has_not_loaded_the_library_is_reported(
    distribute: Distribute, admin: psycopg.Connection
) -> None:
    citus.create_extension(admin)
    code, _, errors = distribute()
    assert code == 1
    assert errors == [
        "orders: cannot distribute the tables: citus is not in shared_preload_libraries: add it, and restart PostgreSQL"
    ]


def test_a_worker_is_refused(distribute: Distribute, coordinator: psycopg.Connection) -> None:
    coordinator.execute("UPDATE pg_dist_local_group SET groupid = 2")
    code, _, errors = distribute()
    assert (code, placements(coordinator)) == (1, {})
    assert errors == [
        "orders: cannot distribute the tables: this server is a worker of Citus: connect to the coordinator"
    ]


# With stand-ins


@pytest.fixture(params=["fake", "postgresql"])
def distributor(request: pytest.FixtureRequest) -> Iterator[TableDistributor]:
    if request.param == "fake":
        yield FakeTableDistributor()
        return
    request.getfixturevalue("coordinator")
    settings = connection_settings(request.getfixturevalue("database"), "distributor")
    with closing(PostgresTableDistributor(settings, ApplicationName.CONSUMER, 32)) as opened:
        yield opened


def test_each_table_is_distributed_once_and_after_those_that_it_references(distributor: TableDistributor) -> None:
    """The contract of TableDistributor."""
    assert distributor.server_problem() is None
    assert len({*distributor.schema_version()}) == 1
    assert ([*distributor.foreign_keys_of_others()], distributor.connected_writers()) == ([], 0)
    tables = distributor.tables()
    with pytest.raises(StorageError):
        distributor.distribute(tables[-1])
    for number, table in enumerate(tables):
        found = [each.placement for each in distributor.tables()]
        assert found == [Placement.DISTRIBUTED] * number + [Placement.LOCAL] * (len(tables) - number)
        distributor.distribute(table)
    assert {each.placement for each in distributor.tables()} == {Placement.DISTRIBUTED}
    with pytest.raises(StorageError):
        distributor.distribute(tables[0])


def test_all_tables_are_distributed_orders_first_and_the_children_in_its_group(
    distribute: Distribute, coordinator: psycopg.Connection
) -> None:
    code, output, errors = distribute("--shard-count", "8")
    assert (code, errors) == (0, [])
    assert "SELECT create_distributed_table('orders', 'shard', shard_count => 8)" in statements(output)
    found = placements(coordinator)
    group = found["orders"][1]
    assert {name: found.pop(name) for name in IN_GROUP} == dict.fromkeys(IN_GROUP, ("h", group))
    assert {name: method for name, (method, _) in found.items()} == {"erased": "n", "schema_releases": "n"}


def test_every_table_of_the_schema_is_distributed_except_alembics(
    distribute: Distribute, coordinator: psycopg.Connection
) -> None:
    distribute()
    tables = coordinator.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace "
        "AND relname NOT LIKE 'pg_dist_%'"
    )
    assert {name for (name,) in tables} - placements(coordinator).keys() == {"alembic_version"}


def test_a_second_run_does_nothing_even_with_connected_consumers(
    distribute: Distribute, coordinator: psycopg.Connection, database: str
) -> None:
    distribute()
    assert len(placements(coordinator)) == len(STATEMENTS)
    with connected_consumer(database):
        assert distribute() == (0, NOTHING_TO_DO, [])
        assert distribute("--dry-run") == (0, NOTHING_TO_DO, [])


def test_the_dry_run_changes_nothing(distribute: Distribute, coordinator: psycopg.Connection) -> None:
    code, output, errors = distribute("--dry-run")
    assert (code, statements(output), errors) == (0, STATEMENTS, [])
    assert placements(coordinator) == {}


def test_a_run_continues_where_a_failed_one_ended(distribute: Distribute, coordinator: psycopg.Connection) -> None:
    coordinator.execute("CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
    coordinator.execute("CREATE TRIGGER t BEFORE INSERT ON payments FOR EACH ROW EXECUTE FUNCTION nothing()")
    code, output, (error,) = distribute()
    assert code == 1
    assert statements(output)[-1].startswith("SELECT create_distributed_table('payments'")
    assert error.startswith("orders: cannot distribute payments: ")
    assert error.endswith("(SQLSTATE 0A000); PostgreSQL's log has the cause. Run the command again to continue.")
    assert "payments" not in placements(coordinator)
    coordinator.execute("DROP TRIGGER t ON payments")
    code, output, _ = distribute()
    assert code == 0
    assert statements(output) == STATEMENTS[-1:]
    assert distribute() == (0, NOTHING_TO_DO, [])


def test_the_size_of_the_rows_that_are_copied_is_printed(
    distribute: Distribute, coordinator: psycopg.Connection, database: str
) -> None:
    with closing(PostgresOrderStore(Transactions(connection_settings(database, "tests")))) as store:
        store.store([versioned(order_uid=f"order-{number}") for number in range(1_000)])
    code, output, _ = distribute("--dry-run")
    assert (code, placements(coordinator)) == (0, {})
    (line,) = (each for each in output if "'orders', 'shard'" in each)
    assert line.endswith(" MiB of rows")
    assert float(line.split()[-4]) > 0


# What prevents it


@contextmanager
def connected_consumer(dsn: str) -> Iterator[None]:
    with psycopg.connect(dsn, application_name=ApplicationName.CONSUMER):
        yield


def test_connected_consumers_must_be_stopped(
    distribute: Distribute, coordinator: psycopg.Connection, database: str
) -> None:
    with connected_consumer(database), connected_consumer(database):
        code, _, errors = distribute()
    assert (code, placements(coordinator)) == (1, {})
    assert errors == ["orders: cannot distribute the tables: 2 consumers are connected: stop them first"]


def test_consumers_of_other_nodes_must_be_stopped(
    distribute: Distribute, coordinator: psycopg.Connection, database: str
) -> None:
    citus.create_run_command(coordinator, is_second_reachable=True, second_result="2")
    with connected_consumer(database):
        code, _, errors = distribute()
    assert (code, placements(coordinator)) == (1, {})
    assert errors == ["orders: cannot distribute the tables: 3 consumers are connected: stop them first"]


def test_a_node_that_does_not_respond_prevents_it(distribute: Distribute, coordinator: psycopg.Connection) -> None:
    citus.create_run_command(coordinator, is_second_reachable=False, second_result="connection refused")
    code, _, errors = distribute()
    assert (code, placements(coordinator)) == (1, {})
    assert errors == ["orders: could not count the consumers on the Citus nodes 2: make them reachable from this node"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            "DELETE FROM schema_releases WHERE number = {head}",
            "the schema is at {older}, this release needs {head}: run `orders migrate`",
        ),
        (
            "UPDATE schema_releases SET number = number + 1 WHERE number = {head}",
            "the schema is at {newer}, of a newer release than this one: run its `orders distribute`",
        ),
    ],
)
def test_the_schema_must_be_of_this_release(
    distribute: Distribute, coordinator: psycopg.Connection, change: str, problem: str
) -> None:
    ((head,),) = coordinator.execute("SELECT max(number) FROM schema_releases").fetchall()
    coordinator.execute(change.format(head=head).encode())
    code, _, errors = distribute()
    wanted = problem.format(older=f"{head - 1:04}", head=f"{head:04}", newer=f"{head + 1:04}")
    assert (code, errors, placements(coordinator)) == (1, [f"orders: cannot distribute the tables: {wanted}"], {})


def test_foreign_keys_of_other_tables_are_named(distribute: Distribute, coordinator: psycopg.Connection) -> None:
    coordinator.execute(
        "CREATE TABLE notes (order_id bigint, shard smallint, CONSTRAINT notes_key FOREIGN KEY (order_id, shard) "
        "REFERENCES orders (id, shard))"
    )
    code, _, (error,) = distribute()
    assert (code, placements(coordinator)) == (1, {})
    assert "foreign keys to or from other tables: notes.notes_key: drop them" in error


def test_a_role_that_does_not_own_the_tables_is_refused(
    distribute: Distribute, coordinator: psycopg.Connection, database: str
) -> None:
    role = f"reader_of_{coordinator.info.dbname}"
    coordinator.execute(SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(Identifier(role), Literal(PASSWORD)))
    coordinator.execute(SQL("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}").format(Identifier(role)))
    address = urlsplit(database)
    dsn = address._replace(netloc=f"{role}:{PASSWORD}@{address.netloc.rpartition('@')[2]}").geturl()
    try:
        code, _, (error,) = distribute(dsn=dsn)
    finally:
        coordinator.execute(SQL("DROP OWNED BY {}").format(Identifier(role)))
        coordinator.execute(SQL("DROP ROLE {}").format(Identifier(role)))
    assert (code, placements(coordinator)) == (1, {})
    assert error.startswith(
        "orders: cannot distribute erased: the schema or the role's privileges do not match this release"
    )


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("SELECT create_reference_table('orders')", "orders"),
        ("SELECT create_distributed_table('orders', 'shard'), create_reference_table('payments')", "payments"),
        ("SELECT create_distributed_table('orders', 'shard'), create_distributed_table('items', 'shard')", "items"),
    ],
)
def test_a_table_that_is_distributed_in_another_way_is_refused(
    distribute: Distribute, coordinator: psycopg.Connection, statement: str, table: str
) -> None:
    coordinator.execute(statement.encode())
    before = placements(coordinator)
    code, _, (error,) = distribute()
    assert (code, placements(coordinator)) == (1, before)
    assert f" {table}: distributed in another way: run SELECT undistribute_table(" in error


def test_an_invalid_number_of_shards_is_a_usage_error(
    distribute: Distribute, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        distribute("--shard-count", "0")
    assert "argument --shard-count: must be a whole number, 1 or greater" in capfd.readouterr().err

"""Orders with a real PgBouncer in transaction mode, which supports neither prepared statements nor LISTEN."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path

import httpx2
import psycopg
import pytest

from service.config import MigrationSettings
from service.entities.version import VersionedOrder
from service.repo.connection_errors import describe
from service.repo.conninfo import Conninfo
from service.repo.schema.migrate import head_number, migrate, schema_number
from service.repo.writer.order_store import PostgresOrderStore
from tests.kit import servers, temporary
from tests.kit.factories import versioned
from tests.kit.harness import metric
from tests.kit.pooler import pgbouncer
from tests.kit.processes import Service, Spawn
from tests.kit.stores import writing
from tests.kit.waiting import eventually

Settings = dict[str, str]
MAX_STALE_SECONDS = 1.0
MARGIN_SECONDS = 1.0
"""Margin for a machine that is busy with the test itself."""
MISSES = 400
CLIENTS = 8
ROUNDS = 12
"""More executions than it takes until psycopg prepares a statement."""
PREPARED = ("", "true")
"""Values of the setting for prepared statements: detected, or enabled although the pooler does not support them."""


@pytest.fixture
def pooled(database: str, tmp_path: Path) -> Iterator[str]:
    """The URL of the test's database through the pooler."""
    with pgbouncer(database, tmp_path / "pgbouncer.txt") as dsn:
        yield dsn


@pytest.fixture(params=PREPARED, ids=lambda prepared: f"prepared-{prepared or 'unset'}")
def prepared(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def sm_id(client: httpx2.Client, uid: str) -> int:
    return int(client.get(f"/orders/{uid}").json()["sm_id"])


@pytest.mark.parametrize("listens", ["through-the-pooler", "directly"])
def test_orders_are_at_most_a_second_stale_and_no_read_fails(
    pooled: str,
    settings: Settings,
    database: str,
    prepared: str,
    listens: str,
    writer: PostgresOrderStore,
    spawn: Spawn,
) -> None:
    listen = {"ORDERS_POSTGRES__LISTEN_DSN": database} if listens == "directly" else {}
    pooled_settings = (
        settings | listen | {"ORDERS_POSTGRES__DSN": pooled, "ORDERS_POSTGRES__PREPARED_STATEMENTS": prepared}
    )
    writer.store([versioned(number, order_uid=f"uid-{number}", sm_id=1) for number in range(10)])
    api = spawn("api", settings=pooled_settings).ready(within=20)
    with httpx2.Client(base_url=api.url, timeout=30) as client:
        assert [sm_id(client, f"uid-{number}") for number in range(10)] == [1] * 10
        writer.store([versioned(1, timestamp_ms=10**6, order_uid=f"uid-{number}", sm_id=2) for number in range(10)])
        within = MAX_STALE_SECONDS + MARGIN_SECONDS
        eventually(
            lambda: {sm_id(client, f"uid-{number}") for number in range(10)} == {2}, within, "the replaced orders"
        )
        erase = spawn("erase", "--yes", "uid-1", settings=pooled_settings)
        eventually(lambda: "uid-1: erased" in erase.tail(), 30, "the erasure")
        not_found = HTTPStatus.NOT_FOUND
        eventually(lambda: client.get("/orders/uid-1").status_code == not_found, within, "404 for the erased order")
        with ThreadPoolExecutor(CLIENTS) as clients:
            misses = clients.map(lambda number: client.get(f"/orders/missed-{number}").status_code, range(MISSES))
            assert set(misses) == {not_found}
    assert reports_notifications(api, directly=listens == "directly")


def reports_notifications(api: Service, *, directly: bool) -> bool:
    """Block until the API has logged whether it receives notifications; return whether log and metric are correct."""
    expected = "receiving notifications" if directly else "not receiving notifications"
    eventually(lambda: api.logged(expected), 10, expected)
    assert metric(api, "orders_dependency_up", dependency="notifications") == directly
    return directly or "ORDERS_POSTGRES__LISTEN_DSN" in api.logged(expected)[0]["problem"]


@pytest.mark.parametrize("statements", [None, True], ids=["detected", "enabled"])
def test_writers_share_the_connections_of_the_pooler(
    pooled: str,
    admin: psycopg.Connection,
    statements: bool | None,  # noqa: FBT001
) -> None:
    """Each writer gets the connection that the other one has just used, with its prepared statements."""
    with (
        writing(pooled, prepared_statements=statements) as one,
        writing(pooled, prepared_statements=statements) as other,
    ):
        for version in range(ROUNDS):
            with psycopg.connect(pooled) as between:
                between.execute("SELECT")  # in a transaction, so that the next writer gets another connection
                for writer in (one, other):
                    batch = [
                        versioned(version, timestamp_ms=version, order_uid=uid, sm_id=version) for uid in ("a", "b")
                    ]
                    eventually(lambda: is_stored(writer, batch), what="a batch is stored")  # noqa: B023 - called immediately
    assert admin.execute("SELECT DISTINCT sm_id FROM orders").fetchall() == [(ROUNDS - 1,)]


def is_stored(writer: PostgresOrderStore, batch: list[VersionedOrder]) -> bool:
    writer.store(batch)
    return True


def test_migrations_work_through_the_pooler(postgres_server: servers.Postgres, tmp_path: Path) -> None:
    with (
        temporary.database(postgres_server.dsn) as (_, dsn),
        pgbouncer(dsn, tmp_path / "pgbouncer.txt") as through,
        pgbouncer(dsn, tmp_path / "other.txt") as other,
    ):
        migrate(Conninfo(through), MigrationSettings())
        assert schema_number(Conninfo(other)) == head_number()


def test_connection_options_that_the_pooler_rejects_are_reported(pooled: str) -> None:
    with pytest.raises(psycopg.OperationalError) as raised:
        psycopg.connect(f"{pooled}?options=-csearch_path%3Dother")
    assert describe(raised.value).endswith("the pooler rejects the connection string's options")

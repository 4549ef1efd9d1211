"""Through a real PgBouncer in transaction mode, which keeps no prepared statements and no LISTEN."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http import HTTPStatus
from pathlib import Path

import httpx2
import psycopg
import pytest

from service.config import Migration
from service.entities.version import VersionedOrder
from service.repo.connection_errors import describe
from service.repo.migrate import head_number, migrate, schema_number
from service.repo.transactions import Transactions
from service.repo.writes import PostgresOrderStore
from tests import servers, temporary
from tests.factories import connection_settings, versioned
from tests.harness import metric
from tests.pooler import pgbouncer
from tests.processes import Service, Spawn
from tests.waiting import eventually

OurSettings = dict[str, str]
FRESH_SECONDS = 1.0
MARGIN_SECONDS = 1.0
"""What this machine may add to a bound, being busy with the test itself."""
MISSES = 400
CLIENTS = 8
ROUNDS = 12
"""More than a statement is executed before it is prepared."""
PREPARED = ("", "true")
"""What the setting for prepared statements may be: found out, or asked for although the pooler keeps none."""


@pytest.fixture
def pooled(database: str, tmp_path: Path) -> Iterator[str]:
    """The URL of the test's database through the pooler."""
    with pgbouncer(database, tmp_path / "pgbouncer.txt") as dsn:
        yield dsn


@pytest.fixture
def writer(database: str) -> Iterator[PostgresOrderStore]:
    writer = PostgresOrderStore(Transactions(connection_settings(database, "test")))
    yield writer
    writer.close()


@pytest.fixture(params=PREPARED, ids=lambda prepared: f"prepared-{prepared or 'unset'}")
def prepared(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def sm_id(client: httpx2.Client, uid: str) -> int:
    return int(client.get(f"/orders/{uid}").json()["sm_id"])


@pytest.mark.parametrize("listens", ["through-the-pooler", "directly"])
def test_no_order_is_served_that_was_replaced_or_erased_a_second_ago_and_no_read_fails(
    pooled: str,
    settings: OurSettings,
    database: str,
    prepared: str,
    listens: str,
    writer: PostgresOrderStore,
    spawn: Spawn,
) -> None:
    listen = {"ORDERS_POSTGRES__LISTEN_DSN": database} if listens == "directly" else {}
    through = settings | listen | {"ORDERS_POSTGRES__DSN": pooled, "ORDERS_POSTGRES__PREPARED_STATEMENTS": prepared}
    writer.store([versioned(number, order_uid=f"uid-{number}", sm_id=1) for number in range(10)])
    api = spawn("api", settings=through).ready(within=20)
    with httpx2.Client(base_url=api.url, timeout=30) as client:
        assert [sm_id(client, f"uid-{number}") for number in range(10)] == [1] * 10
        writer.store([versioned(1, timestamp_ms=10**6, order_uid=f"uid-{number}", sm_id=2) for number in range(10)])
        within = FRESH_SECONDS + MARGIN_SECONDS
        eventually(lambda: {sm_id(client, f"uid-{number}") for number in range(10)} == {2}, within, "the replaced")
        erase = spawn("erase", "--yes", "uid-1", settings=through)
        eventually(lambda: "uid-1: erased" in erase.tail(), 30, "the erasure")
        gone = HTTPStatus.NOT_FOUND
        eventually(lambda: client.get("/orders/uid-1").status_code == gone, within, "the erased one is gone")
        with ThreadPoolExecutor(CLIENTS) as clients:
            misses = clients.map(lambda number: client.get(f"/orders/missed-{number}").status_code, range(MISSES))
            assert set(misses) == {gone}
    assert is_told(api, directly=listens == "directly")


def is_told(api: Service, *, directly: bool) -> bool:
    """Block until the API knows whether it hears; it must say so."""
    expected = "receiving notifications" if directly else "not receiving notifications"
    eventually(lambda: api.logged(expected), 10, expected)
    assert metric(api, "orders_dependency_up", dependency="notifications") == directly
    return directly or "ORDERS_POSTGRES__LISTEN_DSN" in api.logged(expected)[0]["reason"]


@pytest.mark.parametrize("statements", [None, True], ids=["found-out", "asked-for"])
def test_writers_take_turns_on_its_connections(pooled: str, admin: psycopg.Connection, statements: bool | None) -> None:  # noqa: FBT001
    """Each gets the connection that the other one has just used, and what that had prepared."""
    settings = connection_settings(pooled, "test", prepared_statements=statements)
    with (
        closing(PostgresOrderStore(Transactions(settings))) as one,
        closing(PostgresOrderStore(Transactions(settings))) as other,
    ):
        for version in range(ROUNDS):
            with psycopg.connect(pooled) as between:
                between.execute("SELECT")  # in a transaction: the next writer gets another connection
                for writer in (one, other):
                    batch = [
                        versioned(version, timestamp_ms=version, order_uid=uid, sm_id=version) for uid in ("a", "b")
                    ]
                    eventually(lambda: is_stored(writer, batch), what="a batch is stored")  # noqa: B023 - at once
    assert admin.execute("SELECT DISTINCT sm_id FROM orders").fetchall() == [(ROUNDS - 1,)]


def is_stored(writer: PostgresOrderStore, batch: list[VersionedOrder]) -> bool:
    writer.store(batch)
    return True


def test_a_schema_is_brought_up_to_date_through_it(postgres_server: servers.Postgres, tmp_path: Path) -> None:
    with (
        temporary.database(postgres_server.dsn) as (_, dsn),
        pgbouncer(dsn, tmp_path / "pgbouncer.txt") as through,
        pgbouncer(dsn, tmp_path / "other.txt") as other,
    ):
        migrate(through, Migration())
        assert schema_number(other) == head_number()


def test_options_that_it_refuses_are_named(pooled: str) -> None:
    with pytest.raises(psycopg.OperationalError) as refused:
        psycopg.connect(f"{pooled}?options=-csearch_path%3Dother")
    assert describe(refused.value).endswith("the pooler rejects the connection string's options")

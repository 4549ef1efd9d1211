"""Two deployments in one database, each in a schema of its own, know nothing of each other."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import psycopg
import pytest

from service.config import Migration
from service.repo.erasures import EXCLUSIVE, Erasures
from service.repo.migrate import TRY_LOCK, head_number, migrate, schema_number
from service.repo.transactions import Transactions
from service.repo.writes import PostgresOrderStore
from tests import servers, temporary
from tests.factories import connection_settings, versioned
from tests.processes import Spawn
from tests.waiting import eventually

LONG = "a_schema_of_the_longest_name_that_postgresql_takes_63_bytes_long"[:63]


@pytest.fixture
def empty(postgres_server: servers.Postgres) -> Iterator[str]:
    with temporary.database(postgres_server.dsn) as (_, dsn):
        yield dsn


@pytest.fixture(params=["b", "B quoted", LONG])
def both(empty: str, request: pytest.FixtureRequest) -> tuple[str, str]:
    """URLs of two migrated schemas."""
    return migrated(empty, "a"), migrated(empty, str(request.param))


def migrated(dsn: str, schema: str) -> str:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{schema}"'.encode())
    path = schema.replace(" ", "%5C%20")
    within = f"{dsn}?options=-csearch_path%3D%22{path}%22"
    migrate(within, Migration())
    return within


@contextmanager
def transactions(dsn: str) -> Iterator[Transactions]:
    made = Transactions(connection_settings(dsn, "test", lock_timeout=0.5, statement_timeout=5))
    yield made
    made.close()


def test_an_api_hears_of_the_orders_that_it_serves_and_of_no_others(both: tuple[str, str], spawn: Spawn) -> None:
    ours, theirs = both
    api = spawn("api", settings={"ORDERS_POSTGRES__DSN": theirs}).ready()
    eventually(lambda: api.logged("receiving notifications"), 10, "the heartbeat")
    with httpx2.stream("GET", f"{api.url}/events", timeout=30) as events:
        lines = events.iter_lines()
        for dsn, uid in ((ours, "ours"), (theirs, "theirs")):
            with transactions(dsn) as writing:
                PostgresOrderStore(writing).store([versioned(1, order_uid=uid)])
        told = next(line for line in lines if line.startswith("data:"))
    assert '"theirs"' in told
    assert httpx2.get(f"{api.url}/orders/theirs").status_code == 200
    assert httpx2.get(f"{api.url}/orders/ours").status_code == 404


def test_nobody_waits_for_the_others_erasures_or_migrations(both: tuple[str, str]) -> None:
    ours, theirs = both
    with transactions(ours) as busy, busy.begin(EXCLUSIVE) as connection, transactions(theirs) as writing:
        assert connection.execute(TRY_LOCK).fetchone() == (True,)
        PostgresOrderStore(writing).store([versioned(1, order_uid="theirs")])
        Erasures(writing, "test").erase(["theirs"])
        migrate(theirs, Migration(timeout=1))
    assert schema_number(theirs) == head_number()

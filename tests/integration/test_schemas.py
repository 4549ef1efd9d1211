"""Two deployments in different schemas of one database do not affect each other."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import psycopg
import pytest

from service.config import MigrationSettings
from service.repo.conninfo import Conninfo
from service.repo.schema.migrate import TRY_LOCK, head_number, migrate, schema_number
from service.repo.transactions import Transactions
from service.repo.writer.erased import EXCLUSIVE_ERASURE_LOCK
from tests.kit import servers, temporary
from tests.kit.factories import connection_settings, versioned
from tests.kit.processes import Spawn
from tests.kit.stores import erasing, store, writing
from tests.kit.waiting import eventually

LONG = "a_schema_of_the_longest_name_that_postgresql_takes_63_bytes_long"[:63]


@pytest.fixture
def empty(postgres_server: servers.Postgres) -> Iterator[str]:
    with temporary.database(postgres_server.dsn) as (_, dsn):
        yield dsn


@pytest.fixture(params=["b", "B quoted", LONG])
def schemas(empty: str, request: pytest.FixtureRequest) -> tuple[str, str]:
    """URLs of two migrated schemas."""
    return migrated(empty, "a"), migrated(empty, str(request.param))


def migrated(dsn: str, schema: str) -> str:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{schema}"'.encode())
    path = schema.replace(" ", "%5C%20")
    within = f"{dsn}?options=-csearch_path%3D%22{path}%22"
    migrate(Conninfo(within), MigrationSettings())
    return within


@contextmanager
def transactions(dsn: str) -> Iterator[Transactions]:
    transactions = Transactions(connection_settings(dsn, "test", lock_timeout=0.5, statement_timeout=5))
    yield transactions
    transactions.close()


def test_an_api_receives_notifications_of_its_own_schema_only(schemas: tuple[str, str], spawn: Spawn) -> None:
    first, second = schemas
    api = spawn("api", settings={"ORDERS_POSTGRES__DSN": second}).ready()
    eventually(lambda: api.logged("receiving notifications"), 10, "the heartbeat")
    with httpx2.stream("GET", f"{api.url}/events", timeout=30) as events:
        lines = events.iter_lines()
        for dsn, uid in ((first, "first"), (second, "second")):
            store(dsn, versioned(1, order_uid=uid))
        event = next(line for line in lines if line.startswith("data:"))
    assert '"second"' in event
    assert httpx2.get(f"{api.url}/orders/second").status_code == 200
    assert httpx2.get(f"{api.url}/orders/first").status_code == 404


def test_erasures_and_migrations_do_not_block_the_other_schema(schemas: tuple[str, str]) -> None:
    first, second = schemas
    with (
        transactions(first) as busy,
        busy.begin(EXCLUSIVE_ERASURE_LOCK) as connection,
        writing(second, lock_timeout=0.5) as writer,
        erasing(second, lock_timeout=0.5) as erasures,
    ):
        assert connection.execute(TRY_LOCK).fetchone() == (True,)
        writer.store([versioned(1, order_uid="second")])
        erasures.erase(["second"])
        migrate(Conninfo(second), MigrationSettings(timeout=1))
    assert schema_number(Conninfo(second)) == head_number()

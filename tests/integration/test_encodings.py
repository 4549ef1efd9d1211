"""Databases that are not encoded in UTF-8 are rejected; other settings of a database do not change documents."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from service.repo.document import DOCUMENT, FROM_ORDERS
from tests.kit import servers
from tests.kit.factories import order_document, versioned
from tests.kit.harness import Harness, orders
from tests.kit.processes import Spawn
from tests.kit.stores import store

EXIT_SECONDS = 30.0
ERROR = "orders: unsupported database encoding {encoding}: create the database with ENCODING 'UTF8'"
UNUSUAL_SETTINGS = {
    "datestyle": "German, DMY",
    "intervalstyle": "sql_standard",
    "timezone": "Asia/Kathmandu",
    "bytea_output": "escape",
    "extra_float_digits": "0",
    "standard_conforming_strings": "off",
    "client_encoding": "WIN1251",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "off",
    "transform_null_equals": "on",
}
"""Settings of a database that could affect COPY, JSON or comparisons."""


@pytest.fixture(params=["LATIN1", "SQL_ASCII", "WIN1251"])
def encoding(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def unsupported(postgres_server: servers.Postgres, encoding: str) -> Iterator[str]:
    """URL of an empty database with this encoding."""
    name = f"orders_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_server.dsn, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0".encode())
        yield postgres_server.dsn.rpartition("/")[0] + f"/{name}"
        admin.execute(f"DROP DATABASE {name} (FORCE)".encode())


@pytest.mark.parametrize("command", ["migrate", "wait-for-migrations", "doctor", "api"])
def test_commands_reject_a_database_that_is_not_encoded_in_utf8(
    unsupported: str, encoding: str, command: str, settings: dict[str, str], spawn: Spawn
) -> None:
    process = spawn(command, settings=settings | {"ORDERS_POSTGRES__DSN": unsupported})
    assert process.process.wait(EXIT_SECONDS) == 1
    line = ERROR.format(encoding=encoding)
    assert (line.removeprefix("orders: ") if command == "doctor" else line) in process.tail()
    assert "Traceback" not in process.tail()


def test_a_consumer_exits_without_dead_lettering_orders(unsupported: str, encoding: str, harness: Harness) -> None:
    consumer = harness.consumer(ORDERS_POSTGRES__DSN=unsupported)
    harness.produce(*orders([order_document(order_uid="uid")]))
    assert consumer.process.wait(EXIT_SECONDS) == 1
    assert ERROR.format(encoding=encoding) in consumer.tail()
    assert harness.dead_letters() == []
    assert harness.committed() == {}


def test_settings_of_the_database_do_not_change_documents(database: str, admin: psycopg.Connection) -> None:
    text = "Ж, ü, 漢字, back\\slash"
    expected = stored(database, admin, "plain", text)
    for name, value in UNUSUAL_SETTINGS.items():
        admin.execute(f"ALTER DATABASE {admin.info.dbname} SET {name} = '{value}'".encode())
    with psycopg.connect(database, autocommit=True, client_encoding="utf8") as other:
        assert stored(database, other, "other", text).replace("other", "plain") == expected
    assert "2021-11-26T06:22:19Z" in expected


def stored(database: str, connection: psycopg.Connection, uid: str, text: str) -> str:
    """Store an order, then another version of it, and return its document."""
    for version in (1, 2):
        order = versioned(version, timestamp_ms=version, order_uid=uid, locale="en", customer_id=text, sm_id=version)
        store(database, order)
    statement = f"SELECT {DOCUMENT} {FROM_ORDERS} WHERE o.order_uid = %s"
    row = connection.execute(statement.encode(), [uid]).fetchone()
    assert row is not None
    return str(row[0])

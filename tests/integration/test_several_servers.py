"""An API that listens to two PostgreSQL servers, as if writers connected to two nodes of one database."""

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx2
import psycopg
import pytest

from service.repo.connection_errors import address
from service.repo.notifications import payloads
from tests.kit import stores
from tests.kit.factories import versioned
from tests.kit.notifications import NOTIFY
from tests.kit.processes import Service, Spawn
from tests.kit.waiting import eventually

if TYPE_CHECKING:
    from local.postgres import Postgres

UID = "uid-1"
TIMEOUT_SECONDS = 10.0


@pytest.fixture
def api(spawn: Spawn, settings: dict[str, str], database: str, own_postgres: "Postgres") -> Service:
    store(database, 1)
    listen = json.dumps([database, own_postgres.dsn])
    return spawn("api", settings=settings | {"ORDERS_POSTGRES__LISTEN_DSN": listen}).ready()


@pytest.fixture
def client(api: Service) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=api.url, timeout=30) as client:
        yield client


def store(dsn: str, version: int) -> None:
    stores.store(dsn, versioned(version, timestamp_ms=version, order_uid=UID, sm_id=version))


def change_through(node: str, database: str, version: int) -> None:
    """Change the order in the database, and notify on another node only."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE orders SET sm_id = %s", [version])
    with psycopg.connect(node, autocommit=True) as connection:
        for payload in payloads([], [UID]):
            connection.execute(NOTIFY.encode(), [payload])


def found(client: httpx2.Client) -> tuple[int, str]:
    """Return the version of the order, and X-Cache."""
    response = client.get(f"/orders/{UID}")
    assert response.status_code == HTTPStatus.OK
    return response.json()["sm_id"], response.headers["x-cache"]


def admin(api: Service, path: str) -> httpx2.Response:
    return httpx2.get(f"http://127.0.0.1:{api.admin_port}{path}", timeout=5)


def test_a_notification_of_either_server_evicts(client: httpx2.Client, database: str, own_postgres: "Postgres") -> None:
    assert found(client) == (1, "hit")
    store(database, 2)
    eventually(lambda: found(client) == (2, "hit"), TIMEOUT_SECONDS, "a change through the first server")
    change_through(own_postgres.dsn, database, 3)
    eventually(lambda: found(client) == (3, "hit"), TIMEOUT_SECONDS, "a change through the second server")


def test_while_one_server_is_unreachable_nothing_is_cached(
    api: Service, client: httpx2.Client, database: str, own_postgres: "Postgres"
) -> None:
    assert found(client) == (1, "hit")
    own_postgres.stop()
    eventually(lambda: found(client) == (1, "miss"), TIMEOUT_SECONDS, "the cache to be bypassed")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE orders SET sm_id = 2")  # its notification is lost with the server
    assert found(client) == (2, "miss")
    ready = admin(api, "/readyz?verbose")
    assert ready.status_code == HTTPStatus.OK
    assert not parts(ready)["notifications"]
    assert listener_gauges(api) == {address(database): 1.0, address(own_postgres.dsn): 0.0}
    (lost,) = api.logged("not receiving notifications")
    assert lost["server"] == address(own_postgres.dsn)

    own_postgres.start()
    eventually(lambda: found(client) == (2, "hit"), TIMEOUT_SECONDS, "the cache to be used again")
    assert listener_gauges(api) == {address(database): 1.0, address(own_postgres.dsn): 1.0}


def parts(response: httpx2.Response) -> dict[str, Any]:
    document: dict[str, Any] = response.json()["parts"]
    return document


def listener_gauges(api: Service) -> dict[str, float]:
    lines = [line for line in admin(api, "/metrics").text.splitlines() if line.startswith("orders_listener_up{")]
    return {line.split('"')[1]: float(line.split()[-1]) for line in lines}

"""The API stops in time although PostgreSQL and Kafka do not answer: Kubernetes would kill it otherwise."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPResponse
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import httpx2
import psycopg
import pytest

from tests.kit.processes import Service, Spawn
from tests.kit.waiting import eventually

if TYPE_CHECKING:
    from local.postgres import Postgres

DRAIN_SECONDS = 2
CLOSE_SECONDS = 3.5
"""2 s for the API, and a margin for a busy machine. The chart allows 10 s (`terminationGracePeriodSeconds`)."""
KEY = "k" * 20
READS = ("/orders/missed", "/orders", "/orders?customer_id=x", "/orders?track_number=x")
"""They run at once, each on a connection of its own; reads of two orders could share one."""


@pytest.fixture
def silent_kafka() -> Iterator[str]:
    """The address of a broker that accepts connections and never answers, like a suspended one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def api(spawn: Spawn, own_postgres: "Postgres", silent_kafka: str, tmp_path: Path) -> Service:
    """An API that receives notifications."""
    keys = tmp_path / "keys"
    keys.write_text(f"read,dead-letters {KEY}\n")
    settings = {
        "ORDERS_POSTGRES__DSN": own_postgres.dsn,
        "ORDERS_KAFKA__BOOTSTRAP_SERVERS": silent_kafka,
        "ORDERS_AUTH__KEYS_FILE": str(keys),
        "ORDERS_HTTP__DRAIN_TIMEOUT": str(DRAIN_SECONDS),
    }
    service = spawn("api", settings=settings).ready()
    eventually(lambda: probe(service)["notifications"])
    return service


def get(service: Service, path: str) -> httpx2.Response:
    return httpx2.get(f"{service.url}{path}", headers={"X-API-Key": KEY}, timeout=60)


def probe(service: Service) -> dict[str, bool]:
    url = f"http://127.0.0.1:{service.admin_port}/readyz?verbose"
    parts: dict[str, bool] = httpx2.get(url).json()["parts"]
    return parts


@contextmanager
def requests(service: Service, *paths: str) -> Iterator[list[socket.socket]]:
    """Send the requests, and yield their connections once the API has read them."""
    with ExitStack() as stack:
        address = ("127.0.0.1", service.http_port)
        clients = [stack.enter_context(socket.create_connection(address, timeout=60)) for _ in paths]
        for client, path in zip(clients, paths, strict=True):
            client.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n\r\n".encode())
        assert get(service, "/openapi.json").status_code == 200  # the event loop reads in order of arrival
        yield clients


def assert_unavailable(client: socket.socket) -> None:
    with HTTPResponse(client) as response:
        response.begin()
        assert (response.status, response.getheader("content-type")) == (503, "application/problem+json")
        assert int(response.getheader("retry-after", "0")) > 0


def seconds_to_stop(service: Service) -> float:
    """Send SIGTERM, and return how long the process takes to exit with 0."""
    began = monotonic()
    assert service.stop(within=90) == 0
    return monotonic() - began


@contextmanager
def locked(dsn: str) -> Iterator[Callable[[], int]]:
    """Lock the table against reads, and yield a function that returns how many sessions wait for it."""

    def waiting() -> int:
        (count,) = connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchall()[0]
        return int(count)

    with closing(psycopg.connect(dsn)) as connection:  # which does not wait for the server at the end
        connection.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        yield waiting


def test_an_idle_api_exits_at_once_while_postgresql_is_suspended(api: Service, own_postgres: "Postgres") -> None:
    own_postgres.freeze()
    eventually(lambda: not probe(api)["notifications"])
    assert seconds_to_stop(api) < CLOSE_SECONDS


def test_reads_that_wait_for_a_suspended_postgresql_get_503_at_the_drain_timeout(
    api: Service, own_postgres: "Postgres"
) -> None:
    with locked(own_postgres.dsn) as waiting_reads, requests(api, *READS) as clients:
        eventually(lambda: waiting_reads() == len(READS))
        own_postgres.freeze()
        assert seconds_to_stop(api) < DRAIN_SECONDS + CLOSE_SECONDS
        for client in clients:
            assert_unavailable(client)
    assert not api.logged("request failed")


def test_a_read_that_waits_for_a_suspended_kafka_gets_503_at_the_drain_timeout(api: Service) -> None:
    assert get(api, "/stats").json()["lag"] is None  # another thread waits for Kafka
    with requests(api, "/dead-letters") as (client,):
        assert seconds_to_stop(api) < DRAIN_SECONDS + CLOSE_SECONDS
        assert_unavailable(client)

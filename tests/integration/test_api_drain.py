"""At SIGTERM the API becomes unready, ends streams and idle connections, and finishes running requests."""

import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import monotonic

import httpx2

from tests.kit.api_process import UID, get, locked, probe, store, waiting_statements
from tests.kit.processes import Service, Spawn
from tests.kit.waiting import eventually


def test_sigterm_fails_readiness_ends_streams_finishes_requests_and_exits_0(api: Service, database: str) -> None:
    store(database, UID)
    with ThreadPoolExecutor(2) as clients, locked(database) as unlock:
        running = clients.submit(get, api, f"/orders/{UID}")
        following = clients.submit(httpx2.get, f"{api.url}/events", timeout=30)
        eventually(lambda: get(api, "/stats").json()["event_clients"] == 1)
        eventually(lambda: "string_agg" in waiting_statements(database))
        api.process.send_signal(signal.SIGTERM)
        eventually(lambda: probe(api, "/readyz").status_code == 503)
        assert probe(api, "/livez").status_code == 200
        assert following.result(10).status_code == 200
        eventually(lambda: refuses_connections(api.http_port))
        unlock()
        assert running.result(10).status_code == 200
    assert api.process.wait(10) == 0


def refuses_connections(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0


def test_idle_connections_are_closed_by_the_keep_alive_timeout_or_the_shutdown(
    spawn: Spawn, api_settings: dict[str, str]
) -> None:
    service = spawn("api", settings=api_settings | {"ORDERS_HTTP__KEEP_ALIVE": "1s"}).ready()
    with idle_connection(service) as client:
        began = monotonic()
        assert client.recv(1) == b""
        assert 0.9 < monotonic() - began < 5
    other = spawn("api", settings=api_settings).ready()
    with idle_connection(other) as client:
        assert other.stop(within=5) == 0
        assert client.recv(1) == b""


@contextmanager
def idle_connection(service: Service) -> Iterator[socket.socket]:
    """Yield a connection that has received a response."""
    with socket.create_connection(("127.0.0.1", service.http_port), timeout=10) as client:
        client.sendall(b"HEAD /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        assert client.recv(10_000).endswith(b"\r\n\r\n")
        yield client


def test_the_drain_timeout_ends_the_api_despite_an_unfinished_request(
    spawn: Spawn, api_settings: dict[str, str]
) -> None:
    dsn = api_settings["ORDERS_POSTGRES__DSN"]
    service = spawn("api", settings=api_settings | {"ORDERS_HTTP__DRAIN_TIMEOUT": "1"}).ready()
    with ThreadPoolExecutor(1) as clients, locked(dsn):
        running = clients.submit(get, service, "/orders/any")
        eventually(lambda: "string_agg" in waiting_statements(dsn))
        assert service.stop(within=15) == 0
        assert running.exception(10) or running.result().status_code >= 500

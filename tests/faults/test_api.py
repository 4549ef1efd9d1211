"""The API while PostgreSQL is down, slow or sends no notifications, and with slow, many or malicious clients."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import httpx2
import pytest

from service.repo.notifications import payloads
from service.repo.writer.order_store import PostgresOrderStore
from tests.faults.nemesis import stopped
from tests.faults.workload import Workload
from tests.kit.factories import order_document, versioned
from tests.kit.harness import metric
from tests.kit.notifications import NOTIFY
from tests.kit.pooler import pgbouncer
from tests.kit.processes import Service
from tests.kit.standby import standby
from tests.kit.stores import writing
from tests.kit.waiting import eventually

CACHED = 200
HITS = 400
STATEMENT_SECONDS = 1
"""A hit that waited for PostgreSQL would take this long."""
GRACE_SECONDS = 5
"""The client's deadline is this much later than the statement timeout."""
FRESH_SECONDS = 1.0
BEHIND_SECONDS = 2
MARGIN_SECONDS = 1.0
"""Allowance for a busy machine."""
SLOW_CLIENTS = 10_000
CONNECTIONS = 5_000
MAX_CONNECTION_BYTES = 20_000
"""Memory per open connection: the documented bound (docs/delivery.md)."""
STREAMS = 100
EVENTS = 100_000
NOTIFIED_AT_ONCE = 4_000
"""The largest number of orders in one transaction."""
LONG_HEARTBEAT_SECONDS = 10
"""Avoids a heartbeat timeout on a busy machine, which would reset the streams."""
GROWTH_MIB = 64
"""Far below what unbounded buffers would take (100 MiB and more), and above the noise of the allocator."""
PIPELINED = 8
LARGE_GROWTH_MIB = 160
"""Twice the 64 MiB of `http.max_buffered_bytes`, for responses that are not sent yet, plus 20 orders."""
HEAD_SECONDS = 15.0


@dataclass
class ApiScenario:
    """An API with cached orders, and a writer that changes them in PostgreSQL."""

    workload: Workload
    service: Service
    writer: PostgresOrderStore
    client: httpx2.Client
    uids: list[str]

    def get(self, uid: str) -> httpx2.Response:
        return self.client.get(f"{self.service.url}/orders/{uid}")

    def slowest_hit(self) -> float:
        """Return the 99th percentile of the latency of hits, in seconds; every response must be a hit."""
        return sorted(self._hit(self.uids[number % CACHED]) for number in range(HITS))[HITS * 99 // 100]

    def _hit(self, uid: str) -> float:
        began = monotonic()
        response = self.get(uid)
        seconds = monotonic() - began
        assert (response.status_code, response.headers["x-cache"]) == (HTTPStatus.OK, "hit")
        return seconds

    def change(self, uid: str, number: int) -> None:
        """Store another version of an order, which notifies the API."""
        self.writer.store([versioned(number, timestamp_ms=1_000 + number, order_uid=uid, sm_id=number)])

    def store_large(self, count: int) -> list[str]:
        """Store orders of almost 1 MiB, request each once, and return their ids."""
        item = order_document()["items"][0] | {"name": "x" * 1_000}
        uids = [f"large-{number}" for number in range(count)]
        for uid in uids:
            self.writer.store([versioned(order_uid=uid, items=[item] * 800)])
            assert 900_000 < len(self.get(uid).content) < 2**20
        return uids

    def memory_mib(self) -> int:
        """Return the API's resident memory."""
        status = Path(f"/proc/{self.service.process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) // 1024

    def connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.service.http_port), timeout=30)


@contextmanager
def api_scenario(workload: Workload, **variables: str) -> Iterator[ApiScenario]:
    uids = [f"order-{number}" for number in range(CACHED)]
    timeout = {"ORDERS_POSTGRES__STATEMENT_TIMEOUT": f"{STATEMENT_SECONDS}s"}
    with writing(workload.dsn) as writer, httpx2.Client(timeout=30) as client:
        writer.store([versioned(number, order_uid=uid, sm_id=0) for number, uid in enumerate(uids)])
        service = workload.start("api", **{**workload.through_proxies, **timeout, **variables}).ready()
        yield ApiScenario(workload, service, writer, client, uids)


@pytest.fixture
def api(workload: Workload) -> Iterator[ApiScenario]:
    with api_scenario(workload) as ready:
        yield ready


def assert_unavailable(response: httpx2.Response) -> None:
    assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert response.headers["content-type"] == "application/problem+json"
    assert int(response.headers["retry-after"]) > 0


def test_with_postgresql_down_hits_stay_fast_and_misses_return_503(api: ApiScenario) -> None:
    with stopped(api.workload.postgres):
        eventually(lambda: api.get("unknown-1").status_code == HTTPStatus.SERVICE_UNAVAILABLE, what="503")
        assert_unavailable(api.get("unknown-2"))
        assert api.slowest_hit() < STATEMENT_SECONDS
        assert api.client.get(f"{api.service.url}/readyz").status_code == HTTPStatus.OK
    eventually(lambda: api.get("unknown-3").status_code == HTTPStatus.NOT_FOUND, what="PostgreSQL is queried again")
    assert api.service.process.poll() is None


def test_with_postgresql_slow_hits_stay_fast_and_misses_time_out(api: ApiScenario) -> None:
    with api.workload.postgres_proxy.delayed(5), ThreadPoolExecutor(50) as threads:
        began = monotonic()
        misses = [threads.submit(httpx2.get, f"{api.service.url}/orders/missed-{n}", timeout=60) for n in range(50)]
        assert api.slowest_hit() < STATEMENT_SECONDS
        statuses = {miss.result().status_code for miss in misses}
        assert statuses == {HTTPStatus.SERVICE_UNAVAILABLE}
        assert monotonic() - began < 2 * (STATEMENT_SECONDS + GRACE_SECONDS) + MARGIN_SECONDS
    eventually(lambda: api.get("missed-51").status_code == HTTPStatus.NOT_FOUND, 30, "PostgreSQL is fast again")


def test_orders_changed_while_postgresql_is_unreachable_are_current_a_second_later(api: ApiScenario) -> None:
    with api.workload.postgres_proxy.unreachable():
        eventually(
            lambda: metric(api.service, "orders_dependency_up", dependency="notifications") == 0,
            what="disconnect",
        )
        for uid in api.uids[:10]:
            api.change(uid, 7)
        assert {api.get(uid).json()["sm_id"] for uid in api.uids[:10]} == {0}
    assert_current(api, 7)


def test_orders_changed_while_notifications_are_lost_are_current_a_second_later(api: ApiScenario) -> None:
    """The connection is half-open."""
    api.workload.postgres_proxy.half_open()
    for uid in api.uids[:10]:
        api.change(uid, 7)
    assert_current(api, 7)


def assert_current(api: ApiScenario, number: int, within: float = FRESH_SECONDS + MARGIN_SECONDS) -> None:
    eventually(
        lambda: {api.get(uid).json()["sm_id"] for uid in api.uids[:10]} == {number},
        within,
        "orders are current",
    )


def test_while_only_the_listener_is_disconnected_orders_are_at_most_a_second_stale(workload: Workload) -> None:
    """PostgreSQL can be read, so the API must not serve stale orders."""
    listening = workload.through_proxies["ORDERS_POSTGRES__DSN"]
    direct = {"ORDERS_POSTGRES__DSN": workload.dsn, "ORDERS_POSTGRES__LISTEN_DSN": listening}
    with api_scenario(workload, **direct) as api, workload.postgres_proxy.unreachable():
        for uid in api.uids[:10]:
            api.change(uid, 7)
        assert_current(api, 7)
        for uid in api.uids[:10]:
            api.change(uid, 8)
        assert_current(api, 8)


def test_behind_a_pooler_in_transaction_mode_orders_are_at_most_a_second_stale(
    workload: Workload, tmp_path: Path
) -> None:
    with (
        pgbouncer(workload.dsn, tmp_path / "pgbouncer.txt") as pooled,
        api_scenario(workload, ORDERS_POSTGRES__DSN=pooled) as api,
    ):
        for number in (7, 8):
            assert {api.get(uid).status_code for uid in api.uids[:10]} == {HTTPStatus.OK}
            for uid in api.uids[:10]:
                api.change(uid, number)
            assert_current(api, number)


def test_reads_from_a_lagging_standby_are_not_cached(workload: Workload, tmp_path: Path) -> None:
    """Each changed order is requested before the standby has replayed the change."""
    with standby(workload.postgres, tmp_path / "standby", f"{BEHIND_SECONDS}s") as server:
        behind = urlsplit(server.dsn)._replace(path=urlsplit(workload.dsn).path).geturl()
        direct = {"ORDERS_POSTGRES__DSN": behind, "ORDERS_POSTGRES__LISTEN_DSN": workload.dsn}
        with api_scenario(workload, **direct) as api:
            eventually(
                lambda: metric(api.service, "orders_dependency_up", dependency="notifications") == 1, what="heartbeat"
            )
            for number in (7, 8):
                for uid in api.uids[:10]:
                    api.change(uid, number)
                assert {api.get(uid).headers["x-cache"] for uid in api.uids[:10]} == {"miss"}
                assert_current(api, number, BEHIND_SECONDS + FRESH_SECONDS + MARGIN_SECONDS)


def test_max_stale_bounds_staleness(workload: Workload) -> None:
    with api_scenario(workload, ORDERS_CACHE__MAX_STALE="1s") as api, workload.postgres_proxy.unreachable():
        within = 1 + FRESH_SECONDS + MARGIN_SECONDS
        eventually(lambda: api.get(api.uids[0]).status_code == HTTPStatus.SERVICE_UNAVAILABLE, within, "max_stale")
        assert_unavailable(api.get(api.uids[1]))


def test_ten_thousand_unfinished_requests_do_not_slow_other_clients(workload: Workload) -> None:
    with api_scenario(workload, ORDERS_HTTP__MAX_CONNECTIONS=str(CONNECTIONS)) as api, ExitStack() as stack:
        assert api.slowest_hit() < STATEMENT_SECONDS  # on a connection that was opened before the others
        memory = api.memory_mib()
        clients = [stack.enter_context(closing(slow_client(api))) for _ in range(SLOW_CLIENTS)]
        eventually(
            lambda: any(is_refused(client) for client in clients[CONNECTIONS:]),
            10,
            "connections over the limit are rejected",
        )
        assert api.slowest_hit() < STATEMENT_SECONDS
        assert api.memory_mib() - memory < SLOW_CLIENTS * MAX_CONNECTION_BYTES / 2**20
        assert clients[0].recv(100) == b""  # closed after the header timeout
        eventually(
            lambda: httpx2.get(f"{api.service.url}/orders/order-1").status_code == HTTPStatus.OK,
            10,
            "new connections are accepted",
        )


def slow_client(api: ApiScenario) -> socket.socket:
    client = api.connected()
    client.sendall(b"GET /orders/order-1 HTTP/1.1\r\nhost: x\r\nx-slow: ")
    return client


def is_refused(client: socket.socket) -> bool:
    """Return whether the connection got 503; an accepted one gets no response."""
    try:
        return client.recv(100, socket.MSG_DONTWAIT).startswith(b"HTTP/1.1 503")
    except BlockingIOError:
        return False


@pytest.mark.parametrize(
    ("request_bytes", "statuses"),
    [
        (b"GET /orders/" + b"x" * 2**20 + b" HTTP/1.1\r\nhost: x\r\n\r\n", (b"414", b"431", b"400")),
        (b"GET /orders/order-1 HTTP/1.1\r\nhost: x\r\nx-large: " + b"x" * 2**20 + b"\r\n\r\n", (b"431", b"400")),
        (
            b"POST /orders HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 67108864\r\n\r\n" + b"x" * 2**26,
            (b"405", b"413", b"404"),
        ),
    ],
    ids=["line", "header", "body"],
)
def test_oversized_requests_are_rejected(api: ApiScenario, request_bytes: bytes, statuses: tuple[bytes, ...]) -> None:
    memory = api.memory_mib()
    for _ in range(5):
        assert status_of(api, request_bytes) in {*statuses, b""}
    assert api.memory_mib() - memory < GROWTH_MIB
    assert api.get(api.uids[0]).status_code == HTTPStatus.OK


def status_of(api: ApiScenario, request: bytes) -> bytes:
    """Return the response status; b"" if the server closed the connection early."""
    with closing(api.connected()) as client:
        try:
            client.sendall(request)
            return client.recv(12)[9:]
        except (BrokenPipeError, ConnectionResetError):
            return b""


@pytest.mark.parametrize(
    ("cache", "clients"), [("256MiB", 600), ("800KiB", 200)], ids=["from-memory", "from-postgresql"]
)
def test_memory_is_bounded_when_clients_do_not_read_large_responses(
    workload: Workload, cache: str, clients: int
) -> None:
    with api_scenario(workload, ORDERS_CACHE__MAX_BYTES=cache) as api, ExitStack() as stack:
        uids = api.store_large(20)
        memory = api.memory_mib()
        for number in range(clients):
            request = f"GET /orders/{uids[number % len(uids)]} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
            stack.enter_context(closing(non_reading_client(api, PIPELINED * request)))
            assert api.get(api.uids[number % CACHED]).status_code == HTTPStatus.OK
        # At once: a client that reads nothing for a minute is closed in any case.
        eventually(lambda: metric(api.service, "orders_http_clients_dropped_total") > clients // 4, 10, "disconnects")
        stack.close()
        assert api.service.peak_mib() - memory < LARGE_GROWTH_MIB
        eventually(lambda: api.memory_mib() - memory < GROWTH_MIB, 30, "memory is released")


def test_unread_event_streams_are_dropped_and_read_ones_receive_every_event(workload: Workload) -> None:
    with api_scenario(workload, ORDERS_LISTENER__HEARTBEAT=str(LONG_HEARTBEAT_SECONDS)) as api, ExitStack() as stack:
        memory = api.memory_mib()
        for _ in range(STREAMS):
            stack.enter_context(closing(non_reading_stream(api)))
        eventually(lambda: metric(api.service, "orders_event_clients") == STREAMS, what="the streams are open")
        with httpx2.stream("GET", f"{api.service.url}/events", timeout=30) as healthy:
            lines = healthy.iter_lines()
            assert all(
                delivers(lines, api, range(first, first + NOTIFIED_AT_ONCE))
                for first in range(0, EVENTS, NOTIFIED_AT_ONCE)
            )
        eventually(lambda: metric(api.service, "orders_event_clients_dropped_total") == STREAMS, 30, "dropped")
        assert api.memory_mib() - memory < GROWTH_MIB
        assert api.slowest_hit() < STATEMENT_SECONDS


def non_reading_stream(api: ApiScenario) -> socket.socket:
    """Open an event stream without reading it."""
    return non_reading_client(api, b"GET /events HTTP/1.1\r\nhost: x\r\n\r\n")


def non_reading_client(api: ApiScenario, request: bytes) -> socket.socket:
    """Send a request without reading the response; a small receive buffer limits what the kernel takes."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.connect(("127.0.0.1", api.service.http_port))
    client.sendall(request)
    return client


def delivers(lines: Iterator[str], api: ApiScenario, numbers: range) -> bool:
    """Notify the API of orders; return whether the stream delivers each of them in order."""
    uids = [f"notified-{number}" for number in numbers]
    for payload in payloads(uids, []):
        api.workload.query(NOTIFY, payload)
    data = (line for line in lines if line.startswith("data:"))
    received = [next(data).removeprefix("data:") for _ in uids]
    assert [json.loads(each).get("order_uid", each) for each in received] == uids
    return True

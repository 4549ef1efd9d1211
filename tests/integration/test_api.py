"""The API as a separate process with a real PostgreSQL."""

import json
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING, Any

import httpx2
import msgspec
import psycopg
import pytest
from psycopg import sql

from local.ports import free_port
from service.repo.shards import shard_of
from tests.kit import stores
from tests.kit.factories import SAMPLE, versioned
from tests.kit.harness import MAX_STALE_SECONDS
from tests.kit.processes import Service, Spawn
from tests.kit.proxy import Proxy, proxied
from tests.kit.waiting import eventually

if TYPE_CHECKING:
    from local.postgres import Postgres

UID = SAMPLE["order_uid"]
TRANSACTION_SIZE = 5_000
NO_KAFKA = {"ORDERS_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9"}
COPIES = sql.SQL("""
    INSERT INTO {table}
    SELECT (jsonb_populate_record(sample, jsonb_build_object(
        'id', 1000000 + n, 'order_id', 1000000 + n, 'shard', each.shard, 'order_uid', 'o' || n,
        'date_created', timestamptz '2022-01-01Z' + n * interval '1 s'
    ))).*
    FROM {table} sample, unnest(%s::smallint[]) WITH ORDINALITY AS each(shard, n)
""")


def store(dsn: str, *uids: str, version: int = 0, **overrides: Any) -> None:
    orders = (versioned(version, order_uid=uid, timestamp_ms=1_000 + version, **overrides) for uid in uids)
    stores.store(dsn, *orders)


@contextmanager
def locked(dsn: str) -> Iterator[Callable[[], None]]:
    """Lock the table against reads until the end of the block, or until the yielded function is called."""
    with psycopg.connect(dsn) as connection:
        connection.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        yield connection.rollback


def get(service: Service, path: str, **headers: str) -> httpx2.Response:
    return httpx2.get(
        f"{service.url}{path}", headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def probe(service: Service, path: str) -> httpx2.Response:
    return httpx2.get(f"http://127.0.0.1:{service.admin_port}{path}")


def wait_until_live(service: Service) -> Service:
    eventually(lambda: probe(service, "/livez").status_code == 200, 30, service.tail())
    return service


@pytest.fixture
def settings(database: str) -> dict[str, str]:
    return {"ORDERS_POSTGRES__DSN": database, **NO_KAFKA}


@pytest.fixture
def api(spawn: Spawn, settings: dict[str, str]) -> Service:
    return spawn("api", settings=settings).ready()


def test_the_sample_is_served_unchanged_and_revalidated(spawn: Spawn, settings: dict[str, str]) -> None:
    store(settings["ORDERS_POSTGRES__DSN"], UID)
    service = spawn("api", settings=settings).ready()
    first = get(service, f"/orders/{UID}")
    assert first.content == msgspec.json.encode(SAMPLE)
    assert first.headers["x-cache"] == "hit"  # by the warm-up
    assert "server" not in first.headers
    again = get(service, f"/orders/{UID}", if_none_match=first.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    assert httpx2.head(f"{service.url}/orders/{UID}").headers["etag"] == first.headers["etag"]


def test_every_process_serves_the_same_bytes_and_etag_from_cache_and_database(
    spawn: Spawn, settings: dict[str, str]
) -> None:
    uids = [f"o{number}" for number in range(20)]
    store(settings["ORDERS_POSTGRES__DSN"], *uids, locale='é \\ "\n漢')
    warm = spawn("api", settings=settings).ready()
    cold = spawn("api", settings=settings | {"ORDERS_CACHE__WARM_UP_SIZE": "0"}).ready()
    for uid in uids:
        warmed, queried = get(warm, f"/orders/{uid}"), get(cold, f"/orders/{uid}")
        assert (warmed.headers["x-cache"], queried.headers["x-cache"]) == ("hit", "miss")
        assert warmed.content == queried.content
        assert warmed.headers["etag"] == queried.headers["etag"]


def test_the_warm_up_caches_the_newest_orders_before_the_api_is_ready(spawn: Spawn, settings: dict[str, str]) -> None:
    dsn = settings["ORDERS_POSTGRES__DSN"]
    store_many(dsn, 100_000)
    with locked(dsn) as unlock:
        service = wait_until_live(spawn("api", settings=settings))
        eventually(lambda: "SELECT o.order_uid" in waiting_statements(dsn), what="the warm-up waits for the lock")
        for path in ("/readyz", "/startupz"):
            assert probe(service, path).status_code == 503
            assert get(service, path).status_code == 503
        assert get(service, "/livez").status_code == 200
        unlock()
        service.ready()
    assert get(service, "/stats").json()["warm_up"]["orders"] == 10_000
    for number, found in ((100_000, "hit"), (90_001, "hit"), (90_000, "miss"), (1, "miss")):
        assert get(service, f"/orders/o{number}").headers["x-cache"] == found


def store_many(dsn: str, count: int) -> None:
    """Insert copies `o1`, `o2`, … of the sample in one statement, each a second newer than the one before."""
    store(dsn, UID)
    shards = [shard_of(f"o{number}") for number in range(1, count + 1)]
    with psycopg.connect(dsn) as connection:
        for table in ("orders", "deliveries", "payments", "items"):
            connection.execute(COPIES.format(table=sql.Identifier(table)), [shards])


def waiting_statements(dsn: str) -> str:
    with psycopg.connect(dsn, autocommit=True) as admin:
        return str(admin.execute("SELECT query FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchall())


def test_the_api_is_ready_at_the_warm_up_deadline_and_logs_it(spawn: Spawn, settings: dict[str, str]) -> None:
    with locked(settings["ORDERS_POSTGRES__DSN"]):
        service = spawn("api", settings=settings | {"ORDERS_CACHE__WARM_DEADLINE": "1"}).ready()
        assert "serving before cache warm-up has finished" in service.tail()
        assert get(service, "/stats").json()["warm_up"]["seconds"] is None


def test_the_api_starts_without_postgresql_and_becomes_ready_once_it_is_reachable(
    spawn: Spawn, own_postgres: "Postgres"
) -> None:
    store(own_postgres.dsn, UID)
    own_postgres.stop()
    service = wait_until_live(spawn("api", settings={"ORDERS_POSTGRES__DSN": own_postgres.dsn, **NO_KAFKA}))
    assert probe(service, "/readyz").status_code == 503
    assert get(service, f"/orders/{UID}").status_code == 503
    own_postgres.start()
    service.ready()
    assert get(service, f"/orders/{UID}").headers["x-cache"] == "hit"


def test_with_postgresql_down_hits_are_served_and_misses_return_503(spawn: Spawn, own_postgres: "Postgres") -> None:
    store(own_postgres.dsn, "cached", "other")
    settings = {"ORDERS_POSTGRES__DSN": own_postgres.dsn, "ORDERS_CACHE__WARM_UP_SIZE": "0", **NO_KAFKA}
    service = spawn("api", settings=settings).ready()
    eventually(lambda: get(service, "/orders/cached").headers["x-cache"] == "hit")  # once notifications are received
    own_postgres.stop()
    eventually(lambda: not probe(service, "/readyz?verbose").json()["parts"]["database"])
    assert get(service, "/orders/cached").headers["x-cache"] == "hit"
    for path in ("/orders/other", "/orders"):
        response = get(service, path)
        assert (response.status_code, response.headers["content-type"]) == (503, "application/problem+json")
        assert int(response.headers["retry-after"]) > 0
    assert [get(service, "/stats").json()[name] for name in ("stored", "stored_per_second")] == [None, None]
    assert probe(service, "/readyz").status_code == 200
    assert probe(service, "/livez").status_code == 200
    own_postgres.start()
    eventually(lambda: get(service, "/orders/other").status_code == 200)
    eventually(lambda: probe(service, "/readyz?verbose").json()["parts"]["notifications"])


def test_readiness_can_depend_on_postgresql(spawn: Spawn, own_postgres: "Postgres") -> None:
    settings = {"ORDERS_POSTGRES__DSN": own_postgres.dsn, "ORDERS_CACHE__READY_WITHOUT_DATABASE": "false", **NO_KAFKA}
    service = spawn("api", settings=settings).ready()
    own_postgres.stop()
    eventually(lambda: probe(service, "/readyz").status_code == 503)
    assert probe(service, "/livez").status_code == 200
    own_postgres.start()
    eventually(lambda: probe(service, "/readyz").status_code == 200)


def test_a_replaced_order_is_served_in_its_new_version_within_a_second(api: Service, database: str) -> None:
    store(database, UID, locale="v0")
    for version in range(1, 6):
        get(api, f"/orders/{UID}")
        store(database, UID, version=version, locale=f"v{version}")
        assert until_served(api, f"v{version}") < MAX_STALE_SECONDS


def test_frequent_requests_never_get_a_version_that_is_too_old(api: Service, database: str) -> None:
    store(database, UID, locale="0")
    stored, stop = [monotonic()], Event()
    with ThreadPoolExecutor(2) as clients:
        results = [clients.submit(read_versions, stop, api) for _ in range(2)]
        for version in range(1, 21):
            store(database, UID, version=version, locale=str(version))
            stored.append(monotonic())
        until_served(api, "20")
        stop.set()
        responses = [response for result in results for response in result.result()]
    assert max(requested - stored[version + 1] for requested, version in responses if version < 20) < MAX_STALE_SECONDS
    assert len({version for _, version in responses}) > 5


def read_versions(stop: Event, service: Service) -> list[tuple[float, int]]:
    """Request the order until `stop` is set; return the time of each request and the version in its response."""
    responses = []
    with httpx2.Client(base_url=service.url) as client:
        while not stop.is_set():
            requested = monotonic()
            responses.append((requested, int(client.get(f"/orders/{UID}").json()["locale"])))
    return responses


def test_an_order_requested_before_it_is_stored_is_found_within_a_second(api: Service, database: str) -> None:
    assert get(api, f"/orders/{UID}").status_code == 404
    store(database, UID)
    began = monotonic()
    eventually(lambda: get(api, f"/orders/{UID}").status_code == 200, MAX_STALE_SECONDS)
    assert monotonic() - began < MAX_STALE_SECONDS


@pytest.mark.parametrize("fault", [Proxy.close_connections, Proxy.half_open])
def test_after_a_lost_listen_connection_orders_are_at_most_a_second_stale(
    spawn: Spawn, settings: dict[str, str], fault: Callable[[Proxy], None]
) -> None:
    dsn = settings["ORDERS_POSTGRES__DSN"]
    store(dsn, UID, locale="v0")
    with proxied(dsn) as (proxy, listen_dsn):
        service = spawn("api", settings=settings | {"ORDERS_POSTGRES__LISTEN_DSN": listen_dsn}).ready()
        assert get(service, f"/orders/{UID}").headers["x-cache"] == "hit"
        fault(proxy)
        store(dsn, UID, version=1, locale="v1")
        assert until_served(service, "v1") < MAX_STALE_SECONDS
        store(dsn, UID, version=2, locale="v2")
        assert until_served(service, "v2") < MAX_STALE_SECONDS


def until_served(service: Service, locale: str) -> float:
    began = monotonic()
    eventually(lambda: get(service, f"/orders/{UID}").json()["locale"] == locale)
    return monotonic() - began


def test_events_report_stored_orders_and_continue_after_last_event_id(api: Service, database: str) -> None:
    with httpx2.stream("GET", f"{api.url}/events", timeout=10) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        next(lines)
        store(database, "one", "two")
        first = event(lines)
        data = json.loads(first["data"])
        assert (first["event"], data["order_uid"]) == ("stored", "one")
        assert abs(datetime.now(UTC) - datetime.fromisoformat(data["at"])) < timedelta(seconds=30)
        store(database, "one", version=1, locale="x")
        assert [event(lines)["event"], event(lines)["event"]] == ["stored", "replaced"]
    with httpx2.stream("GET", f"{api.url}/events", headers={"last-event-id": first["id"]}, timeout=10) as stream:
        assert json.loads(event(stream.iter_lines())["data"]) == data | {"order_uid": "two"}


def test_stats_report_the_rate_of_stored_orders(api: Service, database: str) -> None:
    eventually(lambda: get(api, "/stats").json()["stored_per_second"] == 0, what="a rate of 0")
    store(database, "one", "two")
    eventually(lambda: 0 < get(api, "/stats").json()["stored_per_second"] < 5, what="a rate above 0")


def event(lines: Iterator[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        fields |= {name: value} if line else {}
        if not line and "data" in fields:
            return fields
    raise AssertionError("the stream ended")


def test_a_transaction_of_thousands_of_orders_is_streamed_completely(api: Service, database: str) -> None:
    uids = [f"order-{number}" for number in range(TRANSACTION_SIZE)]
    with httpx2.stream("GET", f"{api.url}/events", timeout=30) as stream:
        store(database, *uids)
        lines = (line for line in stream.iter_lines() if line.startswith("data: "))
        assert {json.loads(next(lines).removeprefix("data: "))["order_uid"] for _ in uids} == {*uids}
        store(database, "after")
        assert '"after"' in next(lines)
    assert get(api, "/orders/order-1").status_code == 200


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
    spawn: Spawn, settings: dict[str, str]
) -> None:
    service = spawn("api", settings=settings | {"ORDERS_HTTP__KEEP_ALIVE": "1s"}).ready()
    with idle_connection(service) as client:
        began = monotonic()
        assert client.recv(1) == b""
        assert 0.9 < monotonic() - began < 5
    other = spawn("api", settings=settings).ready()
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


def test_the_drain_timeout_ends_the_api_despite_an_unfinished_request(spawn: Spawn, settings: dict[str, str]) -> None:
    dsn = settings["ORDERS_POSTGRES__DSN"]
    service = spawn("api", settings=settings | {"ORDERS_HTTP__DRAIN_TIMEOUT": "1"}).ready()
    with ThreadPoolExecutor(1) as clients, locked(dsn):
        running = clients.submit(get, service, "/orders/any")
        eventually(lambda: "string_agg" in waiting_statements(dsn))
        assert service.stop(within=15) == 0
        assert running.exception(10) or running.result().status_code >= 500


@pytest.mark.parametrize("variable", ["ORDERS_HTTP__PORT", "ORDERS_ADMIN__PORT"])
def test_a_port_in_use_is_reported_in_one_line_with_exit_code_1(
    spawn: Spawn, settings: dict[str, str], variable: str
) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as occupied:
        port = str(occupied.getsockname()[1])
        hosts = {"ORDERS_HTTP__HOST": "127.0.0.1", "ORDERS_ADMIN__HOST": "127.0.0.1"}
        service = spawn("api", settings=settings | hosts | {variable: port})
        assert service.process.wait(20) == 1
    lines = service.log.read_text().splitlines()
    assert len(lines) == 1
    assert port in lines[0]
    assert "Traceback" not in lines[0]


def test_metrics_count_cache_hits_and_requests_by_route_template(api: Service, database: str) -> None:
    store(database, UID)
    for _ in range(3):
        eventually(lambda: get(api, f"/orders/{UID}").status_code == 200)
    metrics = probe(api, "/metrics").text
    for line in (
        'orders_http_requests_total{handler="/orders/{order_uid}",method="GET",status="200"} 3.0',
        "orders_cache_entries 1.0",
        "orders_cache_hits_total 2.0",
        'orders_dependency_up{dependency="postgresql"} 1.0',
        'orders_dependency_up{dependency="notifications"} 1.0',
    ):
        assert line in metrics.splitlines()
    assert UID not in metrics


def test_reads_that_wait_for_a_pool_connection_are_counted(
    spawn: Spawn, settings: dict[str, str], database: str
) -> None:
    service = spawn("api", settings={**settings, "ORDERS_POSTGRES__POOL_SIZE": "1"}).ready()
    with ThreadPoolExecutor() as clients, locked(database) as release:
        responses = [clients.submit(get, service, "/orders") for _ in range(3)]
        eventually(lambda: "orders_pool_waiting 2.0" in probe(service, "/metrics").text)
        release()
        assert {response.result().status_code for response in responses} <= {200, 503}  # the pool times out after 2 s
    eventually(lambda: "orders_pool_waiting 0.0" in probe(service, "/metrics").text)


def test_order_data_and_passwords_are_not_logged(spawn: Spawn, own_postgres: "Postgres") -> None:
    store(own_postgres.dsn, UID)
    service = spawn("api", settings={"ORDERS_POSTGRES__DSN": own_postgres.dsn, **NO_KAFKA}).ready()
    get(service, f"/orders/{UID}")
    own_postgres.stop()
    eventually(lambda: not probe(service, "/readyz?verbose").json()["parts"]["database"])
    get(service, "/orders/not-cached")
    service.stop()
    logged = service.log.read_text()
    password = own_postgres.dsn.partition("@")[0].rpartition(":")[2]
    secrets = (password, UID, "not-cached", SAMPLE["delivery"]["email"], "Traceback", "psycopg")
    assert [secret for secret in secrets if secret in logged] == []

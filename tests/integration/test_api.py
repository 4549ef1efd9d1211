"""The API as a separate process with a real PostgreSQL."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx2
import msgspec
import pytest

from local.ports import free_port
from tests.kit.factories import SAMPLE
from tests.kit.processes import Service, Spawn
from tests.kit.stores import erasing
from tests.kit.waiting import eventually

if TYPE_CHECKING:
    from local.postgres import Postgres
from tests.kit.api_process import NO_KAFKA, UID, get, locked, probe, store

TRANSACTION_SIZE = 5_000


# Orders


def test_the_sample_is_served_unchanged_and_revalidated(spawn: Spawn, api_settings: dict[str, str]) -> None:
    store(api_settings["ORDERS_POSTGRES__DSN"], UID)
    service = spawn("api", settings=api_settings).ready()
    first = get(service, f"/orders/{UID}")
    assert first.content == msgspec.json.encode(SAMPLE)
    assert first.headers["x-cache"] == "hit"  # by the warm-up
    assert "server" not in first.headers
    again = get(service, f"/orders/{UID}", if_none_match=first.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    assert httpx2.head(f"{service.url}/orders/{UID}").headers["etag"] == first.headers["etag"]


def test_every_process_serves_the_same_bytes_and_etag_from_cache_and_database(
    spawn: Spawn, api_settings: dict[str, str]
) -> None:
    uids = [f"o{number}" for number in range(20)]
    store(api_settings["ORDERS_POSTGRES__DSN"], *uids, locale='é \\ "\n漢')
    warm = spawn("api", settings=api_settings).ready()
    cold = spawn("api", settings=api_settings | {"ORDERS_CACHE__WARM_UP_SIZE": "0"}).ready()
    for uid in uids:
        warmed, queried = get(warm, f"/orders/{uid}"), get(cold, f"/orders/{uid}")
        assert (warmed.headers["x-cache"], queried.headers["x-cache"]) == ("hit", "miss")
        assert warmed.content == queried.content
        assert warmed.headers["etag"] == queried.headers["etag"]


# Events


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


def test_events_have_the_time_and_version_of_the_stored_order(api: Service, database: str) -> None:
    with httpx2.stream("GET", f"{api.url}/events", timeout=10) as stream:
        lines = stream.iter_lines()
        next(lines)
        store(database, UID, version=5)
        data = json.loads(event(lines)["data"])
    listed = get(api, "/orders").json()["orders"][0]
    version = get(api, f"/orders/{UID}/history").json()["versions"][0]
    assert data["stored_at"] == listed["stored_at"]
    assert version["source"] == data["version"]
    assert "summary" not in data


def test_events_include_the_summaries_of_lists(api: Service, database: str) -> None:
    with httpx2.stream("GET", f"{api.url}/events?include=summary", timeout=10) as stream:
        lines = stream.iter_lines()
        next(lines)
        store(database, "one", "two")
        found = [json.loads(event(lines)["data"]) for _ in range(2)]
        assert [each["summary"] for each in reversed(found)] == get(api, "/orders").json()["orders"]
        with erasing(database) as erasures:
            erasures.erase(["one"])
        erased = event(lines)
    data = json.loads(erased["data"])
    assert (erased["event"], data.pop("order_uid")) == ("replaced", "one")
    assert {data[name] for name in ("stored_at", "version", "summary")} == {None}


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


# Figures, logs and errors


def test_stats_report_the_rate_of_stored_orders(api: Service, database: str) -> None:
    eventually(lambda: get(api, "/stats").json()["stored_per_second"] == 0, what="a rate of 0")
    store(database, "one", "two")
    eventually(lambda: 0 < get(api, "/stats").json()["stored_per_second"] < 5, what="a rate above 0")


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
    spawn: Spawn, api_settings: dict[str, str], database: str
) -> None:
    service = spawn("api", settings={**api_settings, "ORDERS_POSTGRES__POOL_SIZE": "1"}).ready()
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


@pytest.mark.parametrize("variable", ["ORDERS_HTTP__PORT", "ORDERS_ADMIN__PORT"])
def test_a_port_in_use_is_reported_in_one_line_with_exit_code_1(
    spawn: Spawn, api_settings: dict[str, str], variable: str
) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as occupied:
        port = str(occupied.getsockname()[1])
        hosts = {"ORDERS_HTTP__HOST": "127.0.0.1", "ORDERS_ADMIN__HOST": "127.0.0.1"}
        service = spawn("api", settings=api_settings | hosts | {variable: port})
        assert service.process.wait(20) == 1
    lines = service.log.read_text().splitlines()
    assert len(lines) == 1
    assert port in lines[0]
    assert "Traceback" not in lines[0]

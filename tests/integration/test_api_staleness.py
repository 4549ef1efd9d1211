"""The API serves an order for at most a second after it was changed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import monotonic

import httpx2
import pytest

from tests.kit.api_process import UID, get, store
from tests.kit.harness import MAX_STALE_SECONDS
from tests.kit.processes import Service, Spawn
from tests.kit.proxy import Proxy, proxied
from tests.kit.waiting import eventually


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
    spawn: Spawn, api_settings: dict[str, str], fault: Callable[[Proxy], None]
) -> None:
    dsn = api_settings["ORDERS_POSTGRES__DSN"]
    store(dsn, UID, locale="v0")
    with proxied(dsn) as (proxy, listen_dsn):
        service = spawn("api", settings=api_settings | {"ORDERS_POSTGRES__LISTEN_DSN": listen_dsn}).ready()
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

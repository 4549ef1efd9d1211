"""An API that reads from a real, lagging standby and listens on the primary."""

import json
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from service.pkg.exit_codes import ExitCode
from service.repo.writer.order_store import PostgresOrderStore
from tests.kit.factories import versioned
from tests.kit.processes import Service, Spawn
from tests.kit.standby import standby
from tests.kit.stores import writing
from tests.kit.waiting import eventually

if TYPE_CHECKING:
    from local.postgres import Postgres

REPLAY_DELAY_SECONDS = 1.5
MARGIN_SECONDS = 4.0
"""Time for the next heartbeat, and for a machine that is busy with the test itself."""
TIMEOUT_SECONDS = REPLAY_DELAY_SECONDS + MARGIN_SECONDS
LONG_REPLAY_DELAY = "8s"
"""Longer than an API takes to start."""
UIDS = [f"uid-{number}" for number in range(20)]


@pytest.fixture
def lagging(own_postgres: "Postgres", tmp_path: Path) -> Iterator["Postgres"]:
    with standby(own_postgres, tmp_path / "standby", f"{REPLAY_DELAY_SECONDS * 1_000:.0f}ms") as server:
        yield server


@pytest.fixture
def writer(own_postgres: "Postgres") -> Iterator[PostgresOrderStore]:
    with writing(own_postgres.dsn) as opened:
        yield opened


def store(writer: PostgresOrderStore, version: int) -> None:
    writer.store([versioned(version, timestamp_ms=version, order_uid=uid, sm_id=version) for uid in UIDS])


def responses(client: httpx2.Client) -> set[tuple[int, int, str]]:
    """Return the distinct triples of status, version (0 without an order) and X-Cache of all orders."""
    found = [client.get(f"/orders/{uid}") for uid in UIDS]
    return {(each.status_code, each.json().get("sm_id", 0), each.headers.get("x-cache", "")) for each in found}


def start_api(spawn: Spawn, dsn: str, **variables: str) -> Service:
    return spawn("api", settings={"ORDERS_POSTGRES__DSN": dsn, **variables})


def test_reads_from_a_standby_are_cached_once_it_has_replayed_the_notified_changes(
    own_postgres: "Postgres", lagging: "Postgres", writer: PostgresOrderStore, spawn: Spawn
) -> None:
    api = start_api(spawn, lagging.dsn, ORDERS_POSTGRES__LISTEN_DSN=own_postgres.dsn).ready(within=20)
    with httpx2.Client(base_url=api.url, timeout=30) as client:
        for version in (1, 2, 3):
            store(writer, version)
            eventually(lambda: api.logged("receiving notifications"), 10, "the heartbeat")
            before = responses(client)  # the previous version or a 404, neither of which may be cached
            assert {found for _, found, _ in before} <= {version - 1, version}
            cached = {(HTTPStatus.OK.value, version, "hit")}
            eventually(lambda: responses(client) == cached, TIMEOUT_SECONDS, f"version {version} is cached")  # noqa: B023 - called immediately
            assert responses(client) == cached


def test_events_wait_until_the_standby_has_replayed_their_orders(
    own_postgres: "Postgres", lagging: "Postgres", writer: PostgresOrderStore, spawn: Spawn
) -> None:
    """Otherwise a new order would have no summary, and a replaced one that of its previous version."""
    api = start_api(spawn, lagging.dsn, ORDERS_POSTGRES__LISTEN_DSN=own_postgres.dsn).ready(within=20)
    eventually(lambda: api.logged("receiving notifications"), 10, "the heartbeat")
    with httpx2.stream("GET", f"{api.url}/events?include=summary", timeout=30) as stream:
        data = (json.loads(line.removeprefix("data: ")) for line in stream.iter_lines() if line.startswith("data: "))
        for version in (1, 2):
            store(writer, version)
            events = [next(data) for _ in UIDS]
            assert [each["summary"]["stored_at"] for each in events] == [each["stored_at"] for each in events]


def test_an_api_that_listens_on_a_standby_logs_it_and_caches_nothing(
    lagging: "Postgres", writer: PostgresOrderStore, spawn: Spawn
) -> None:
    store(writer, 1)
    api = start_api(spawn, lagging.dsn, ORDERS_CACHE__WARM_UP_SIZE="0").ready(within=20)
    with httpx2.Client(base_url=api.url, timeout=30) as client:
        eventually(lambda: responses(client) == {(HTTPStatus.OK.value, 1, "miss")}, TIMEOUT_SECONDS, "version 1")
        store(writer, 2)
        eventually(lambda: responses(client) == {(HTTPStatus.OK.value, 2, "miss")}, TIMEOUT_SECONDS, "version 2")
    assert "(a standby)" in api.logged("not receiving notifications")[0]["problem"]


def test_the_warm_up_waits_until_the_standby_has_replayed_earlier_changes(
    own_postgres: "Postgres", writer: PostgresOrderStore, spawn: Spawn, tmp_path: Path
) -> None:
    """The listener receives no notification of orders stored just before it started."""
    store(writer, 1)
    with standby(own_postgres, tmp_path / "standby", LONG_REPLAY_DELAY) as server:
        store(writer, 2)
        api = start_api(spawn, server.dsn, ORDERS_POSTGRES__LISTEN_DSN=own_postgres.dsn).ready(within=30)
        with httpx2.Client(base_url=api.url, timeout=30) as client:
            assert responses(client) == {(HTTPStatus.OK.value, 2, "hit")}


def test_an_api_with_several_listeners_refuses_to_read_from_a_standby(
    own_postgres: "Postgres", database: str, spawn: Spawn, tmp_path: Path
) -> None:
    """It could cache nothing, and its warm-up would never end."""
    with standby(own_postgres, tmp_path / "standby") as server:
        listen = json.dumps([own_postgres.dsn, database])
        api = start_api(spawn, server.dsn, ORDERS_POSTGRES__LISTEN_DSN=listen)
        assert api.process.wait(20) == ExitCode.USAGE
    assert "orders: ORDERS_POSTGRES__DSN: must lead to a primary" in api.tail()

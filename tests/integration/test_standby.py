"""An API that reads from a real standby, which is behind, and listens on the primary."""

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from service.repo.transactions import Transactions
from service.repo.writes import PostgresOrderStore
from tests.factories import connection_settings, versioned
from tests.processes import Service, Spawn
from tests.standby import standby
from tests.waiting import eventually

if TYPE_CHECKING:
    from local.postgres import Postgres

BEHIND_SECONDS = 1.5
MARGIN_SECONDS = 4.0
"""What this machine may add, being busy with the test itself, and the next heartbeat."""
WITHIN = BEHIND_SECONDS + MARGIN_SECONDS
FAR_BEHIND = "8s"
"""More than an API takes to start."""
UIDS = [f"uid-{number}" for number in range(20)]


@pytest.fixture
def behind(own_postgres: "Postgres", tmp_path: Path) -> Iterator["Postgres"]:
    with standby(own_postgres, tmp_path / "standby", f"{BEHIND_SECONDS * 1_000:.0f}ms") as server:
        yield server


@pytest.fixture
def writer(own_postgres: "Postgres") -> Iterator[PostgresOrderStore]:
    writer = PostgresOrderStore(Transactions(connection_settings(own_postgres.dsn, "test")))
    yield writer
    writer.close()


def store(writer: PostgresOrderStore, version: int) -> None:
    writer.store([versioned(version, timestamp_ms=version, order_uid=uid, sm_id=version) for uid in UIDS])


def answers(client: httpx2.Client) -> set[tuple[int, int, str]]:
    """Return the different status, version and X-Cache of all orders; 0 where there is none."""
    found = [client.get(f"/orders/{uid}") for uid in UIDS]
    return {(each.status_code, each.json().get("sm_id", 0), each.headers.get("x-cache", "")) for each in found}


def reading(spawn: Spawn, dsn: str, **variables: str) -> Service:
    return spawn("api", settings={"ORDERS_POSTGRES__DSN": dsn, **variables})


def test_what_a_standby_tells_is_cached_once_it_has_replayed_what_was_notified(
    own_postgres: "Postgres", behind: "Postgres", writer: PostgresOrderStore, spawn: Spawn
) -> None:
    api = reading(spawn, behind.dsn, ORDERS_POSTGRES__LISTEN_DSN=own_postgres.dsn).ready(within=20)
    with httpx2.Client(base_url=api.url, timeout=30) as client:
        for version in (1, 2, 3):
            store(writer, version)
            eventually(lambda: api.logged("receiving notifications"), 10, "the heartbeat")
            before = answers(client)  # the version before, or that there is none: neither may be kept
            assert {found for _, found, _ in before} <= {version - 1, version}
            cached = {(HTTPStatus.OK.value, version, "hit")}
            eventually(lambda: answers(client) == cached, WITHIN, f"version {version} is cached")  # noqa: B023 - at once
            assert answers(client) == cached


def test_a_standby_that_is_listened_to_is_named_and_nothing_is_cached(
    behind: "Postgres", writer: PostgresOrderStore, spawn: Spawn
) -> None:
    store(writer, 1)
    api = reading(spawn, behind.dsn, ORDERS_CACHE__WARM_UP_SIZE="0").ready(within=20)
    with httpx2.Client(base_url=api.url, timeout=30) as client:
        eventually(lambda: answers(client) == {(HTTPStatus.OK.value, 1, "miss")}, WITHIN, "version 1")
        store(writer, 2)
        eventually(lambda: answers(client) == {(HTTPStatus.OK.value, 2, "miss")}, WITHIN, "version 2")
    assert "(a standby)" in api.logged("not receiving notifications")[0]["reason"]


def test_the_warm_up_waits_for_a_standby_to_be_as_far_as_what_was_not_heard(
    own_postgres: "Postgres", writer: PostgresOrderStore, spawn: Spawn, tmp_path: Path
) -> None:
    """What was stored just before the listener began is not notified to it."""
    store(writer, 1)
    with standby(own_postgres, tmp_path / "standby", FAR_BEHIND) as server:
        store(writer, 2)
        api = reading(spawn, server.dsn, ORDERS_POSTGRES__LISTEN_DSN=own_postgres.dsn).ready(within=30)
        with httpx2.Client(base_url=api.url, timeout=30) as client:
            assert answers(client) == {(HTTPStatus.OK.value, 2, "hit")}

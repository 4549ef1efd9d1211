"""The API is ready after its warm-up, and stays ready during an outage of PostgreSQL."""

from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from service.repo.shards import shard_of
from tests.kit.processes import Spawn
from tests.kit.waiting import eventually

if TYPE_CHECKING:
    from local.postgres import Postgres
from tests.kit.api_process import NO_KAFKA, UID, get, locked, probe, store, wait_until_live, waiting_statements

COPIES = sql.SQL("""
    INSERT INTO {table}
    SELECT (jsonb_populate_record(sample, jsonb_build_object(
        'id', 1000000 + n, 'order_id', 1000000 + n, 'shard', each.shard, 'order_uid', 'o' || n,
        'date_created', timestamptz '2022-01-01Z' + n * interval '1 s'
    ))).*
    FROM {table} sample, unnest(%s::smallint[]) WITH ORDINALITY AS each(shard, n)
""")


def test_the_warm_up_caches_the_newest_orders_before_the_api_is_ready(
    spawn: Spawn, api_settings: dict[str, str]
) -> None:
    dsn = api_settings["ORDERS_POSTGRES__DSN"]
    store_many(dsn, 100_000)
    with locked(dsn) as unlock:
        service = wait_until_live(spawn("api", settings=api_settings))
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


def test_the_api_is_ready_at_the_warm_up_deadline_and_logs_it(spawn: Spawn, api_settings: dict[str, str]) -> None:
    with locked(api_settings["ORDERS_POSTGRES__DSN"]):
        service = spawn("api", settings=api_settings | {"ORDERS_CACHE__WARM_DEADLINE": "1"}).ready()
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

"""Servers and consumers are stopped and killed under load; then every message that was produced is accounted for."""

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.request import urlopen

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.processes import Service, Spawn
from tests.waiting import eventually

if TYPE_CHECKING:
    from service.embedded.broker import Broker
    from service.embedded.postgres import Postgres

Settings = dict[str, str]

MIX = ("--seed", "7", "--invalid", "0.02", "--duplicates", "0.05", "--stale", "0.02")
OUTAGE_SECONDS = 30
RATE = 1_000
BACK_AT_WORK_SECONDS = 10.0
"""A session of 6 s, and what a start takes."""


@pytest.fixture
def settings(own_kafka: "Broker", own_postgres: "Postgres", spawn: Spawn) -> Settings:
    """Point at servers that the test may stop; schema and topics are there."""
    settings = {
        "ORDERS_KAFKA__BOOTSTRAP_SERVERS": own_kafka.bootstrap_servers,
        "ORDERS_POSTGRES__DSN": own_postgres.dsn,
    }
    assert spawn("migrate", settings=settings).process.wait(60) == 0
    return settings


@pytest.fixture
def produce(spawn: Spawn, settings: Settings) -> Callable[[int], Service]:
    """Start a generator of so many messages, at RATE."""
    return lambda count: spawn("generate", "--count", str(count), "--rate", str(RATE), *MIX, settings=settings)


@pytest.fixture
def stored(own_postgres: "Postgres") -> Callable[[], int]:
    def count() -> int:
        with psycopg.connect(own_postgres.dsn) as connection:
            row = connection.execute("SELECT count(*) FROM orders").fetchone()
            return int(row[0]) if row else 0

    return count


def assert_exact(spawn: Spawn, settings: Settings, count: int, *options: str) -> None:
    """Every valid order is stored once in its newest version, every other one lies in the dead-letter topic."""
    check = spawn("check", "--count", str(count), *MIX, "--wait", "120", *options, settings=settings)
    assert check.process.wait(240) == 0, check.tail()


def counter(service: Service, name: str) -> float:
    with urlopen(f"http://127.0.0.1:{service.admin_port}/metrics", timeout=5) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)


def test_a_database_that_is_away_for_half_a_minute_costs_no_order_and_no_restart(
    own_postgres: "Postgres",
    settings: Settings,
    spawn: Spawn,
    produce: Callable[[int], Service],
    stored: Callable[[], int],
) -> None:
    consumer = spawn("consumer", settings=settings).ready()
    count = OUTAGE_SECONDS * RATE
    generator = produce(count)
    eventually(lambda: stored() > RATE, within=30, what="orders flow")
    own_postgres.stop()
    assert generator.process.wait(OUTAGE_SECONDS * 3) == 0  # the outage lasts until all is produced
    assert counter(consumer, "orders_retries_total") > 0
    own_postgres.start()
    assert_exact(spawn, settings, count)
    assert consumer.process.poll() is None
    assert consumer.stop() == 0


def test_a_database_that_is_killed_costs_no_order(
    own_postgres: "Postgres",
    settings: Settings,
    spawn: Spawn,
    produce: Callable[[int], Service],
    stored: Callable[[], int],
) -> None:
    spawn("consumer", settings=settings).ready()
    produce(8 * RATE)
    for orders in (RATE, 3 * RATE):
        eventually(lambda orders=orders: stored() > orders, within=60, what="orders flow")  # type: ignore[misc]
        own_postgres.kill()
        own_postgres.start()
    assert_exact(spawn, settings, 8 * RATE)


def test_a_broker_that_is_restarted_costs_no_order_and_no_restart(
    own_kafka: "Broker",
    settings: Settings,
    spawn: Spawn,
    produce: Callable[[int], Service],
    stored: Callable[[], int],
) -> None:
    consumer = spawn("consumer", settings=settings).ready()
    generator = produce(10 * RATE)
    eventually(lambda: stored() > RATE, within=30, what="orders flow")
    own_kafka.stop()
    own_kafka.start()
    assert generator.process.wait(120) == 0, generator.tail()
    assert_exact(spawn, settings, 10 * RATE)
    assert consumer.process.poll() is None


def test_a_consumer_that_is_killed_three_times_stores_again_within_ten_seconds(
    settings: Settings, spawn: Spawn, produce: Callable[[int], Service], stored: Callable[[], int]
) -> None:
    count = 40 * RATE
    produce(count)
    consumer = spawn("consumer", settings=settings)
    eventually(lambda: stored() > RATE, within=30, what="orders flow")
    for _ in range(3):
        consumer.kill()
        before = stored()
        consumer = spawn("consumer", settings=settings)
        eventually(lambda before=before: stored() > before, BACK_AT_WORK_SECONDS, "stored again")  # type: ignore[misc]
    assert_exact(spawn, settings, count, "--after-crash")


def test_another_member_takes_over_within_ten_seconds_of_a_kill(
    settings: Settings, spawn: Spawn, produce: Callable[[int], Service]
) -> None:
    count = 20 * RATE
    victim, survivor = spawn("consumer", settings=settings).ready(), spawn("consumer", settings=settings).ready()
    produce(count)
    eventually(lambda: counter(victim, "orders_stored_total") > 0, within=30, what="the one stores")
    eventually(lambda: counter(survivor, "orders_stored_total") > 0, within=30, what="the other stores")
    victim.kill()
    eventually(
        lambda: counter(survivor, "orders_rebalances_total") > 1, BACK_AT_WORK_SECONDS, "the other has taken over"
    )
    assert_exact(spawn, settings, count, "--after-crash")


def test_a_consumer_that_is_stopped_in_an_outage_ends_in_time_and_commits_nothing(
    own_postgres: "Postgres",
    settings: Settings,
    spawn: Spawn,
    produce: Callable[[int], Service],
    stored: Callable[[], int],
) -> None:
    consumer = spawn("consumer", settings=settings).ready()
    generator = produce(5 * RATE)
    eventually(lambda: stored() > RATE, within=30, what="orders flow")
    own_postgres.stop()
    eventually(lambda: counter(consumer, "orders_retries_total") > 0, within=20, what="it retries")
    assert consumer.stop(within=25) == 0
    assert generator.process.wait(60) == 0
    own_postgres.start()
    spawn("consumer", settings=settings).ready()
    assert_exact(spawn, settings, 5 * RATE)

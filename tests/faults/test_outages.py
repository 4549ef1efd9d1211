"""Servers and consumers are stopped and killed under load; then every message that was produced is accounted for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.processes import Service, Spawn
from tests.stage import metric
from tests.waiting import eventually

if TYPE_CHECKING:
    from service.embedded.broker import Broker
    from service.embedded.postgres import Postgres

MIX = ("--seed", "7", "--invalid", "0.02", "--duplicates", "0.05", "--stale", "0.02")
OUTAGE_SECONDS = 30
RATE = 1_000
BACK_AT_WORK_SECONDS = 10.0
"""A session of 6 s, and what a start takes."""


@dataclass(frozen=True)
class Flow:
    """Generators and consumers on servers that the test may stop."""

    settings: Mapping[str, str]
    spawn: Spawn

    def consumer(self) -> Service:
        return self.spawn("consumer", settings=self.settings)

    def produce(self, count: int) -> Service:
        """Start a generator of so many messages, at RATE."""
        return self.spawn("generate", "--count", str(count), "--rate", str(RATE), *MIX, settings=self.settings)

    def stored(self) -> int:
        with psycopg.connect(self.settings["ORDERS_POSTGRES__DSN"]) as connection:
            row = connection.execute("SELECT count(*) FROM orders").fetchone()
            return int(row[0]) if row else 0

    def wait_stored(self, more_than: int = RATE, within: float = 60.0) -> None:
        eventually(lambda: self.stored() > more_than, within, "orders flow")

    def assert_exact(self, count: int, *options: str) -> None:
        """Every valid order is stored once in its newest version, every other one lies in the dead-letter topic."""
        arguments = ("check", "--count", str(count), *MIX, "--wait", "120", *options)
        check = self.spawn(*arguments, settings=self.settings)
        assert check.process.wait(240) == 0, check.tail()


@pytest.fixture
def flow(own_kafka: "Broker", own_postgres: "Postgres", spawn: Spawn) -> Flow:
    """Schema and topics are there."""
    settings = {
        "ORDERS_KAFKA__BOOTSTRAP_SERVERS": own_kafka.bootstrap_servers,
        "ORDERS_POSTGRES__DSN": own_postgres.dsn,
    }
    assert spawn("migrate", settings=settings).process.wait(60) == 0
    return Flow(settings, spawn)


def test_a_database_that_is_away_for_half_a_minute_costs_no_order_and_no_restart(
    own_postgres: "Postgres", flow: Flow
) -> None:
    consumer = flow.consumer().ready()
    count = OUTAGE_SECONDS * RATE
    generator = flow.produce(count)
    flow.wait_stored()
    own_postgres.stop()
    assert generator.process.wait(OUTAGE_SECONDS * 3) == 0  # the outage lasts until all is produced
    assert metric(consumer, "orders_retries_total") > 0
    own_postgres.start()
    flow.assert_exact(count)
    assert consumer.process.poll() is None
    assert consumer.stop() == 0


def test_a_database_that_is_killed_costs_no_order(own_postgres: "Postgres", flow: Flow) -> None:
    flow.consumer().ready()
    flow.produce(8 * RATE)
    for orders in (RATE, 3 * RATE):
        flow.wait_stored(orders)
        own_postgres.kill()
        own_postgres.start()
    flow.assert_exact(8 * RATE)


def test_a_broker_that_is_restarted_costs_no_order_and_no_restart(own_kafka: "Broker", flow: Flow) -> None:
    consumer = flow.consumer().ready()
    generator = flow.produce(10 * RATE)
    flow.wait_stored()
    own_kafka.stop()
    own_kafka.start()
    assert generator.process.wait(120) == 0, generator.tail()
    # On a slow machine the restart takes longer than the session, whose loss costs as much as a crash.
    flow.assert_exact(10 * RATE, "--after-crash")
    assert consumer.process.poll() is None


def test_a_consumer_that_is_killed_three_times_stores_again_within_ten_seconds(flow: Flow) -> None:
    count = 40 * RATE
    flow.produce(count)
    consumer = flow.consumer()
    flow.wait_stored()
    for _ in range(3):
        consumer.kill()
        before = flow.stored()
        consumer = flow.consumer()
        flow.wait_stored(before, BACK_AT_WORK_SECONDS)
    flow.assert_exact(count, "--after-crash")


def test_another_member_takes_over_within_ten_seconds_of_a_kill(flow: Flow) -> None:
    count = 20 * RATE
    victim, survivor = flow.consumer().ready(), flow.consumer().ready()
    flow.produce(count)
    for member in (victim, survivor):
        eventually(lambda member=member: metric(member, "orders_stored_total") > 0, 30, "it stores")  # type: ignore[misc]
    victim.kill()
    eventually(
        lambda: metric(survivor, "orders_rebalances_total") > 1, BACK_AT_WORK_SECONDS, "the other has taken over"
    )
    flow.assert_exact(count, "--after-crash")


def test_a_consumer_that_is_stopped_in_an_outage_ends_in_time_and_commits_nothing(
    own_postgres: "Postgres", flow: Flow
) -> None:
    consumer = flow.consumer().ready()
    generator = flow.produce(5 * RATE)
    flow.wait_stored()
    own_postgres.stop()
    eventually(lambda: metric(consumer, "orders_retries_total") > 0, within=20, what="it retries")
    assert consumer.stop(within=25) == 0
    assert generator.process.wait(60) == 0
    own_postgres.start()
    flow.consumer().ready()
    flow.assert_exact(5 * RATE)

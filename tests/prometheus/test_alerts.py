"""Alerts on a real Prometheus fire during a fault and resolve after it.

`tests/chart/test_alerts.py` covers the alerts that take long, with `promtool test rules`.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.helm import one, render
from tests.kit.factories import order_document
from tests.kit.harness import Harness, Sent, orders
from tests.kit.processes import Service, Spawn
from tests.kit.waiting import eventually
from tests.prometheus.conftest import prometheus
from tests.prometheus.server import WAIT_SECONDS, Prometheus

if TYPE_CHECKING:
    from local.postgres import Postgres

SHORT_DURATIONS = {
    "noConsumer.for": "1s",
    "noProgress.for": "1s",
    "noProgress.window": "5s",
    "deadLetters.for": "1s",
    "deadLetters.window": "10s",
    "deadLetters.messages": "3",
    "circuitBreakerOpen.for": "1s",
    "postgresqlUnavailable.for": "1s",
}
"""The default windows of minutes would make the tests take minutes."""


def rules() -> list[Any]:
    values = [f"metrics.prometheusRule.{name}={value}" for name, value in SHORT_DURATIONS.items()]
    switches = ["metrics.prometheusRule.enabled=true", "metrics.serviceMonitor.enabled=true"]
    groups: list[Any] = one(render(settings=[*switches, *values]), "PrometheusRule")["spec"]["groups"]
    return groups


@dataclass
class Monitored:
    """A consumer that a Prometheus scrapes."""

    server: Prometheus
    consumer: Service
    harness: Harness


@pytest.fixture
def monitored(
    harness: Harness, spawn: Spawn, settings: dict[str, str], own_postgres: "Postgres", tmp_path: Path
) -> Iterator[Monitored]:
    if not shutil.which("helm"):
        pytest.skip("helm not found on PATH")
    breaker = {
        "ORDERS_CIRCUIT_BREAKER__MAX_CONSECUTIVE": "50",
        "ORDERS_CIRCUIT_BREAKER__RETRY_AFTER": "2",
        "ORDERS_CIRCUIT_BREAKER__RATIO": "1",
    }
    consumer = spawn("consumer", settings={**settings, **breaker, "ORDERS_POSTGRES__DSN": own_postgres.dsn}).ready()
    with prometheus(tmp_path, consumer, rules=rules()) as server:
        harness.produce(*orders([order_document(order_uid="first")]))
        server.wait_for_samples("orders_stored_total == 1")
        eventually(lambda: not server.query("ALERTS"), WAIT_SECONDS, "no alert")
        yield Monitored(server, consumer, harness)


def test_an_outage_of_postgresql_fires_the_postgresql_and_no_progress_alerts(
    monitored: Monitored, own_postgres: "Postgres"
) -> None:
    own_postgres.stop()
    monitored.harness.produce(*orders([order_document(order_uid=f"waits-{number}") for number in range(30)]))
    monitored.server.wait_until_firing("OrdersPostgresqlUnavailable")
    monitored.server.wait_until_firing("OrdersNoProgress")
    own_postgres.start()
    for alert in ("OrdersPostgresqlUnavailable", "OrdersNoProgress"):
        monitored.server.wait_until_resolved(alert)


def test_a_flood_of_dead_letters_fires_the_dead_letter_and_circuit_breaker_alerts(monitored: Monitored) -> None:
    monitored.harness.produce(*[Sent(b"not an order")] * 10)
    monitored.server.wait_until_firing("OrdersDeadLetters")
    monitored.harness.produce(*[Sent(b"not an order")] * 60)
    monitored.server.wait_until_firing("OrdersCircuitBreakerOpen")
    monitored.harness.produce(*orders([order_document(order_uid=f"good-{number}") for number in range(200)]))
    monitored.server.wait_until_resolved("OrdersCircuitBreakerOpen")
    monitored.server.wait_until_resolved("OrdersDeadLetters")


def test_a_group_without_members_fires_the_no_consumer_alert(monitored: Monitored, spawn: Spawn) -> None:
    monitored.consumer.kill()
    monitored.server.wait_until_firing("OrdersNoConsumer")
    port = {"ORDERS_ADMIN__PORT": str(monitored.consumer.admin_port)}
    spawn("consumer", settings={**monitored.harness.settings, **port})
    monitored.server.wait_until_resolved("OrdersNoConsumer")

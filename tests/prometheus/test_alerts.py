"""Alerts on a real Prometheus: each fires by its fault, and resolves when that is fixed.

Those that take long by their nature are held by `promtool test rules`, in `tests/chart/test_alerts.py`.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.helm import one, render
from tests.factories import order_document
from tests.harness import Harness, Sent, orders
from tests.processes import Service, Spawn
from tests.prometheus.conftest import prometheus
from tests.prometheus.server import FAR, Prometheus
from tests.waiting import eventually

if TYPE_CHECKING:
    from local.postgres import Postgres

AT_ONCE = {
    "noConsumer.for": "1s",
    "noProgress.for": "1s",
    "noProgress.window": "5s",
    "deadLetters.for": "1s",
    "deadLetters.window": "10s",
    "deadLetters.messages": "3",
    "circuitBreakerOpen.for": "1s",
    "postgresqlUnavailable.for": "1s",
}
"""With windows of minutes the test would take minutes."""


def rules() -> list[Any]:
    values = [f"metrics.prometheusRule.{name}={value}" for name, value in AT_ONCE.items()]
    switches = ["metrics.prometheusRule.enabled=true", "metrics.serviceMonitor.enabled=true"]
    groups: list[Any] = one(render(settings=[*switches, *values]), "PrometheusRule")["spec"]["groups"]
    return groups


@dataclass
class Watched:
    """A consumer that a Prometheus looks at."""

    server: Prometheus
    consumer: Service
    harness: Harness


@pytest.fixture
def watched(
    harness: Harness, spawn: Spawn, settings: dict[str, str], own_postgres: "Postgres", tmp_path: Path
) -> Iterator[Watched]:
    if not shutil.which("helm"):
        pytest.skip("there is no helm on the path")
    breaker = {
        "ORDERS_CIRCUIT_BREAKER__MAX_CONSECUTIVE": "50",
        "ORDERS_CIRCUIT_BREAKER__RETRY_AFTER": "2",
        "ORDERS_CIRCUIT_BREAKER__RATIO": "1",
    }
    consumer = spawn("consumer", settings={**settings, **breaker, "ORDERS_POSTGRES__DSN": own_postgres.dsn}).ready()
    with prometheus(tmp_path, consumer, rules=rules()) as server:
        harness.produce(*orders([order_document(order_uid="first")]))
        server.tells("orders_stored_total == 1")
        eventually(lambda: not server.ask("ALERTS"), FAR, "no alert")
        yield Watched(server, consumer, harness)


def test_a_database_that_is_away_and_a_consumer_that_gets_nowhere_are_told(
    watched: Watched, own_postgres: "Postgres"
) -> None:
    own_postgres.stop()
    watched.harness.produce(*orders([order_document(order_uid=f"waits-{number}") for number in range(30)]))
    watched.server.fires("OrdersPostgresqlUnavailable")
    watched.server.fires("OrdersNoProgress")
    own_postgres.start()
    for alert in ("OrdersPostgresqlUnavailable", "OrdersNoProgress"):
        watched.server.resolves(alert)


def test_dead_letters_are_told_and_then_the_circuit_breaker_and_both_end(watched: Watched) -> None:
    watched.harness.produce(*[Sent(b"not an order")] * 10)
    watched.server.fires("OrdersDeadLetters")
    watched.harness.produce(*[Sent(b"not an order")] * 60)
    watched.server.fires("OrdersCircuitBreakerOpen")
    watched.harness.produce(*orders([order_document(order_uid=f"good-{number}") for number in range(200)]))
    watched.server.resolves("OrdersCircuitBreakerOpen")
    watched.server.resolves("OrdersDeadLetters")


def test_a_group_without_a_member_is_told_until_there_is_one(watched: Watched, spawn: Spawn) -> None:
    watched.consumer.kill()
    watched.server.fires("OrdersNoConsumer")
    port = {"ORDERS_ADMIN__PORT": str(watched.consumer.admin_port)}
    spawn("consumer", settings={**watched.harness.settings, **port})
    watched.server.resolves("OrdersNoConsumer")

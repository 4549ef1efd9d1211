"""The alerts of the rendered PrometheusRule."""

from typing import Final

import pytest

from tests.chart.helm import Manifest, one, render
from tests.chart.test_pods import RETENTION

ON: Final = ",".join(["metrics.prometheusRule.enabled=true", "metrics.serviceMonitor.enabled=true", *RETENTION])
ALERTS: Final = (
    "OrdersLagGrows",
    "OrdersNoProgress",
    "OrdersPartitionStalled",
    "OrdersNoConsumer",
    "OrdersDeadLetters",
    "OrdersExpiredSkipped",
    "OrdersOffsetsSkipped",
    "OrdersTopicRecreated",
    "OrdersCircuitBreakerOpen",
    "OrdersPostgresqlUnavailable",
    "OrdersRegistryUnavailable",
    "OrdersListenerDown",
    "OrdersPoolSaturated",
    "OrdersRebalanceStorm",
    "OrdersWarmUpSlow",
    "OrdersApiKeysFileInvalid",
    "OrdersApiErrorBudgetBurn",
    "OrdersApiSlow",
    "OrdersMigrationFailed",
    "OrdersPruneFailed",
    "OrdersPruneOverdue",
)
OF_THE_CRON_JOB: Final = ("OrdersPruneFailed", "OrdersPruneOverdue")
each_alert = pytest.mark.parametrize("alert", ALERTS)


def groups(*settings: str, name: str = "orders") -> Manifest:
    """Return the `spec` of the PrometheusRule."""
    spec: Manifest = one(render(name=name, settings=[ON, *settings]), "PrometheusRule")["spec"]
    return spec


def rules(*settings: str, name: str = "orders") -> list[Manifest]:
    found = [rule for group in groups(*settings, name=name)["groups"] for rule in group["rules"]]
    assert found
    return found


def named(alert: str, *settings: str) -> list[Manifest]:
    return [rule for rule in rules(*settings) if rule["alert"] == alert]

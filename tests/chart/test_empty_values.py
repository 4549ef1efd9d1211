"""A key of a values file whose entries are all commented out is null: Helm removes its default."""

from collections.abc import Iterator
from typing import Any, Final

import yaml

from tests.chart.helm import CHART, render_yaml

FEATURES: Final = (
    "api.autoscaling.enabled=true",
    "consumer.keda.enabled=true",
    "retention.enabled=true",
    "retention.maxAge=400d",
    "metrics.serviceMonitor.enabled=true",
    "metrics.prometheusRule.enabled=true",
    "metrics.dashboards.enabled=true",
    "networkPolicy.enabled=true",
    "ingress.enabled=true",
    "ingress.hosts={orders.example.com}",
)
SET: Final = {"ingress.hosts"}


def empty_values(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the paths of all values that are empty maps and lists by default."""
    for name, value in values.items():
        if value in ({}, []):
            yield f"{prefix}{name}"
        elif isinstance(value, dict):
            yield from empty_values(value, f"{prefix}{name}.")


def test_null_is_as_good_as_an_empty_map_or_list() -> None:
    paths = {*empty_values(yaml.safe_load((CHART / "values.yaml").read_text()))} - SET
    assert {"settings", "podAnnotations", "api.podSecurityContext", "consumer.keda.fallback"} <= paths
    nulls = tuple(f"{path}=null" for path in sorted(paths))
    assert render_yaml(settings=FEATURES + nulls) == render_yaml(settings=FEATURES)

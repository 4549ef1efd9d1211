"""A key of a values file whose entries are all commented out is null: Helm removes its default.

Without an empty map or list as default, the value is then missing. The chart rejects that with its name, because a
template would fail with a nil pointer, or render nothing: no volume, or an invalid alert.
"""

import copy
import json
from collections.abc import Iterator
from functools import reduce
from typing import Any, Final

import pytest
import yaml
from jsonschema import Draft7Validator

from tests.chart.helm import CHART, rejection, render_yaml

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
VALUES: Final[dict[str, Any]] = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA: Final = Draft7Validator(json.loads((CHART / "values.schema.json").read_text()))
OPTIONAL: Final = {
    *("podSecurityContext", "containerSecurityContext", "strategy", "replicas", "revisionHistoryLimit", "requests")
}
"""Kubernetes has defaults of its own for these."""
ALERTS: Final = {name for name, value in VALUES["metrics"]["prometheusRule"].items() if value and name != "enabled"}
"""Null removes an alert: tests/chart/test_alert_values.py."""


def empty_values(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the paths of all values that are empty maps and lists by default."""
    for name, value in values.items():
        if value in ({}, []):
            yield f"{prefix}{name}"
        elif isinstance(value, dict):
            yield from empty_values(value, f"{prefix}{name}.")


def set_values(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the paths of all other values, except those within OPTIONAL ones."""
    for name, value in values.items():
        if value in ({}, [], "") or value is False:
            continue
        yield f"{prefix}{name}"
        if isinstance(value, dict) and name not in OPTIONAL:
            yield from set_values(value, f"{prefix}{name}.")


def is_optional(path: str) -> bool:
    return path.rpartition(".")[2] in OPTIONAL | ALERTS


REQUIRED: Final = [path for path in set_values(VALUES) if not is_optional(path)]
GROUPS: Final = [path for path in REQUIRED if isinstance(reduce(dict.__getitem__, path.split("."), VALUES), dict)]


def test_null_is_as_good_as_an_empty_map_or_list() -> None:
    paths = {*empty_values(VALUES)} - SET
    assert {"settings", "podAnnotations", "api.podSecurityContext", "consumer.keda.fallback"} <= paths
    nulls = tuple(f"{path}=null" for path in sorted(paths))
    assert render_yaml(settings=FEATURES + nulls) == render_yaml(settings=FEATURES)


def test_optional_values_may_be_null() -> None:
    nulls = [f"{path}=null" for path in set_values(VALUES) if is_optional(path)]
    assert {"api.replicas=null", "podSecurityContext=null", "consumer.resources.requests=null"} <= {*nulls}
    assert "image: " in render_yaml(settings=FEATURES + tuple(nulls))


@pytest.mark.parametrize("path", REQUIRED)
def test_a_missing_value_is_named(path: str) -> None:
    values = copy.deepcopy(VALUES)
    *groups, name = path.split(".")
    del reduce(dict.__getitem__, groups, values)[name]
    [error] = SCHEMA.iter_errors(values)
    assert (error.message, [*error.absolute_path]) == (f"{name!r} is a required property", groups)


@pytest.mark.parametrize("path", [path for path in GROUPS if path.count(".") < 2])
def test_helm_names_a_missing_group(path: str) -> None:
    *groups, name = path.split(".")
    place = "".join(f"/{group}" for group in groups)
    assert f"- at '{place}': missing property '{name}'" in rejection(f"{path}=null")

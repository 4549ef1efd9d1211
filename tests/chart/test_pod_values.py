"""Every pod takes every value for scheduling and metadata, of the chart and of its component."""

import json
from typing import Any, Final

import pytest

from tests.chart.helm import Manifest, parse, pod_templates, rejection, render_yaml
from tests.chart.test_pods import RETENTION

COMPONENT: Final = "app.kubernetes.io/component"
PODS: Final = {
    "api": {"api"},
    "consumer": {"consumer"},
    "migrations": {"migration", "prune", "test"},
    "kafka": {"kafka"},
    "postgresql": {"postgresql"},
}
"""The pods to which the values of each component apply."""
ALL_PODS: Final = {pod for pods in PODS.values() for pod in pods}
SCHEDULING: Final[dict[str, Any]] = {
    "nodeSelector": {"pool": "orders"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {"a": "b"}},
    "topologySpreadConstraints": [{"topologyKey": "zone", "labelSelector": {}}],
    "priorityClassName": "high",
}
CONSTRAINT: Final = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}


def pods(**values: Any) -> dict[str, Manifest]:
    """Return the pods of a release with these values, by component."""
    settings = tuple(f"{path}={json.dumps(value)}" for path, value in values.items())
    rendered = parse(render_yaml(settings=tuple(RETENTION), json_settings=settings))
    found = {pod["metadata"]["labels"][COMPONENT]: pod for pod in pod_templates(rendered)}
    assert found.keys() == ALL_PODS
    return found


def scheduling(pod: Manifest) -> Manifest:
    """Return the pod's scheduling, without the selectors that the chart fills in."""
    found = {name: pod["spec"].get(name) for name in SCHEDULING}
    for constraint in found["topologySpreadConstraints"] or []:
        constraint["labelSelector"] = {}
    return found


def test_every_pod_is_scheduled_as_the_chart_says() -> None:
    found = pods(**SCHEDULING)
    assert {name: scheduling(pod) for name, pod in found.items()} == dict.fromkeys(ALL_PODS, SCHEDULING)


@pytest.mark.parametrize("component", PODS)
@pytest.mark.parametrize("field", SCHEDULING)
def test_a_component_replaces_the_scheduling_of_the_chart(component: str, field: str) -> None:
    other: Any = {"priorityClassName": "low", "nodeSelector": {"a": "b"}, "affinity": {"podAffinity": {}}}.get(
        field, [{"key": "other"}]
    )
    found = {
        name: scheduling(pod)[field] for name, pod in pods(**SCHEDULING, **{f"{component}.{field}": other}).items()
    }
    if field == "topologySpreadConstraints":
        other[0]["labelSelector"] = {}
    # The migration and the like run where the consumer runs.
    changed = PODS[component] | (PODS["migrations"] if component == "consumer" else set())
    assert found == {name: other if name in changed else SCHEDULING[field] for name in ALL_PODS}


def test_a_spread_constraint_of_the_chart_selects_the_pods_of_each_component() -> None:
    for name, pod in pods(topologySpreadConstraints=[CONSTRAINT]).items():
        (constraint,) = pod["spec"]["topologySpreadConstraints"]
        selected = constraint["labelSelector"]["matchLabels"]
        assert selected[COMPONENT] == name
        assert selected.items() <= pod["metadata"]["labels"].items()


@pytest.mark.parametrize(("value", "field"), [("podLabels", "labels"), ("podAnnotations", "annotations")])
def test_labels_and_annotations_of_the_chart_and_of_a_component_are_merged(value: str, field: str) -> None:
    own = {f"{component}.{value}": {"b": component, "c": component} for component in PODS}
    found = pods(**{value: {"a": "chart", "b": "chart"}}, **own)
    for component, names in PODS.items():
        for name in names:
            assert found[name]["metadata"][field].items() >= {"a": "chart", "b": component, "c": component}.items()


def test_common_labels_and_annotations_reach_every_object_and_common_labels_every_pod() -> None:
    values = {"commonLabels": {"team": "shop"}, "commonAnnotations": {"reloader.stakater.com/auto": "true"}}
    switches = (
        *RETENTION, "networkPolicy.enabled=true", "metrics.serviceMonitor.enabled=true",
        "metrics.prometheusRule.enabled=true", "metrics.dashboards.enabled=true", "consumer.keda.enabled=true",
        "api.autoscaling.enabled=true", "api.podDisruptionBudget.enabled=true", "ingress.enabled=true",
        "ingress.hosts[0]=a", "httpRoute.enabled=true", "httpRoute.parentRefs[0].name=a",
    )  # fmt: skip
    settings = tuple(f"{name}={json.dumps(value)}" for name, value in values.items())
    objects = parse(render_yaml(settings=switches, json_settings=settings))
    assert len({each["kind"] for each in objects}) >= 15
    for each in objects:
        assert each["metadata"]["labels"].items() >= values["commonLabels"].items()
        assert each["metadata"]["annotations"].items() >= values["commonAnnotations"].items()
    for pod in pod_templates(objects):
        assert pod["metadata"]["labels"].items() >= values["commonLabels"].items()


@pytest.mark.parametrize(
    "setting",
    [
        r"commonLabels.app\.kubernetes\.io/name=a",
        r"commonAnnotations.helm\.sh/hook=a",
        r"podAnnotations.checksum/settings=a",
        r"kafka.podLabels.app\.kubernetes\.io/component=a",
    ],
)
def test_names_that_the_chart_sets_are_rejected(setting: str) -> None:
    path, name = setting.removesuffix("=a").replace("\\", "").split(".", 1)
    if path == "kafka":
        path, name = "kafka.podLabels", name.removeprefix("podLabels.")
    assert any(f"{path}: {name} is set by the chart" in line for line in rejection(setting))

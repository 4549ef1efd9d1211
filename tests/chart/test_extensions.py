"""Values that extend the release: containers, variables, objects, rollouts, scaling and routes."""

import json
from typing import Any, Final

import pytest

from tests.chart.helm import Manifest, of_kind, one, parse, pod_templates, render, render_yaml
from tests.chart.test_pods import RETENTION

COMPONENT: Final = "app.kubernetes.io/component"
OWN_IMAGE: Final = {"api", "consumer", "migration", "prune", "test"}
"""The pods with the image of Orders."""


def rendered(*switches: str, **values: Any) -> list[Manifest]:
    settings = tuple(f"{path}={json.dumps(value)}" for path, value in values.items())
    return parse(render_yaml(settings=switches, json_settings=settings))


def pods(**values: Any) -> dict[str, Manifest]:
    """Return the spec of each pod of a release with these values, by component."""
    objects = rendered(*RETENTION, **values)
    return {pod["metadata"]["labels"][COMPONENT]: pod["spec"] for pod in pod_templates(objects)}


def test_init_containers_run_before_the_own_containers_of_every_pod() -> None:
    proxy = {"name": "proxy", "image": "proxy", "restartPolicy": "Always"}
    found = pods(initContainers=[proxy])
    assert {name for name, pod in found.items() if pod.get("initContainers", [None])[0] == proxy} == OWN_IMAGE
    for name in ("api", "consumer"):
        assert [each["name"] for each in found[name]["initContainers"]] == ["proxy", "wait-for-migrations"]


def test_extra_containers_run_beside_the_api_and_the_consumer() -> None:
    found = pods(extraContainers=[{"name": "sidecar", "image": "sidecar"}])
    names = {name: [each["name"] for each in pod["containers"]] for name, pod in found.items()}
    assert (names["api"], names["consumer"]) == (["api", "sidecar"], ["consumer", "sidecar"])
    assert {name for name, of_pod in names.items() if "sidecar" in of_pod} == {"api", "consumer"}


def test_other_values_take_precedence_over_sources_of_variables() -> None:
    source = {"secretRef": {"name": "more"}}
    settings = {"configMapRef": {"name": "orders"}}
    found = {name: pod["containers"][0].get("envFrom") for name, pod in pods(envFrom=[source]).items()}
    # Of two sources with the same variable, the last one wins. The migration has its settings in `env`, which wins.
    assert {name: found[name] for name in OWN_IMAGE} == {key: [source, settings] for key in OWN_IMAGE} | {
        "migration": [source]
    }


def test_extra_objects_are_evaluated_as_templates() -> None:
    secret = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-more"}, "data": {}}
    found = one(rendered(extraObjects=[secret, secret | {"metadata": {"name": "b"}}]), "ConfigMap", "orders-more")
    assert found == secret | {"metadata": {"name": "orders-more"}}


def test_the_strategy_of_deployments_can_be_replaced() -> None:
    surge = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    assert one(render(), "Deployment", "orders-api")["spec"]["strategy"] == surge
    assert "strategy" not in one(render(), "Deployment", "orders-consumer")["spec"]
    recreate = {"type": "Recreate"}
    objects = rendered(**{"api.strategy": recreate | {"rollingUpdate": None}, "consumer.strategy": recreate})
    assert [each["spec"]["strategy"] for each in of_kind(objects, "Deployment")] == [recreate, recreate]


def test_deployments_keep_as_many_revisions_as_the_value_says() -> None:
    """StatefulSets do not: older versions of Kubernetes refuse to change the field, so the upgrade would fail."""
    objects = rendered(revisionHistoryLimit=2)
    assert [each["spec"]["revisionHistoryLimit"] for each in of_kind(objects, "Deployment")] == [2, 2]
    assert not any("revisionHistoryLimit" in each["spec"] for each in of_kind(objects, "StatefulSet"))


@pytest.mark.parametrize("component", ["api", "consumer"])
def test_the_behavior_of_autoscalers_can_be_set(component: str) -> None:
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 60}}
    values = {f"{component}.autoscaling": {"enabled": True, "behavior": behavior}}
    assert one(rendered(**values), "HorizontalPodAutoscaler")["spec"]["behavior"] == behavior


def test_the_service_has_a_fixed_node_port_only_if_it_is_set() -> None:
    (port,) = one(render(settings=["api.service.type=NodePort"]), "Service", "orders-api")["spec"]["ports"]
    assert port == {"name": "http", "port": 80, "targetPort": "http"}
    objects = render(settings=["api.service.type=NodePort", "api.service.nodePort=30080"])
    assert one(objects, "Service", "orders-api")["spec"]["ports"] == [port | {"nodePort": 30080}]


def test_every_host_of_the_ingress_has_the_path() -> None:
    settings = ["ingress.enabled=true", "ingress.hosts={a,b}", "ingress.path=/orders", "ingress.pathType=Exact"]
    rules = one(render(settings=settings), "Ingress")["spec"]["rules"]
    paths = [(rule["host"], path["path"], path["pathType"]) for rule in rules for path in rule["http"]["paths"]]
    assert paths == [("a", "/orders", "Exact"), ("b", "/orders", "Exact")]


def test_the_route_has_the_filters() -> None:
    filters = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x"]}}]
    values = {"httpRoute": {"enabled": True, "parentRefs": [{"name": "gateway"}], "filters": filters}}
    (rule,) = one(rendered(**values), "HTTPRoute")["spec"]["rules"]
    assert rule["filters"] == filters

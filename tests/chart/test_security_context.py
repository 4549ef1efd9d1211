"""Security contexts: fields of the chart, of components, and none for clusters that assign ids."""

import json
from typing import Any, Final

import pytest

from tests.chart.helm import ROOT, Manifest, containers, parse, pod_templates, rejection, render, render_yaml
from tests.chart.test_pods import RETENTION

OPENSHIFT: Final = ROOT / "k8s" / "values" / "openshift.yaml"
COMPONENT: Final = "app.kubernetes.io/component"
ALL_PODS: Final = {"api", "consumer", "migration", "prune", "test", "kafka", "postgresql"}
IDS: Final = {"runAsUser", "runAsGroup", "fsGroup"}


def contexts(objects: list[Manifest]) -> dict[str, list[Manifest]]:
    """Return the security contexts of each pod and its containers, by component. The pod's is first."""
    return {
        pod["metadata"]["labels"][COMPONENT]: [
            pod["spec"]["securityContext"],
            *(each["securityContext"] for each in containers(pod)),
        ]
        for pod in pod_templates(objects)
    }


def rendered(**values: Any) -> dict[str, list[Manifest]]:
    settings = tuple(f"{path}={json.dumps(value)}" for path, value in values.items())
    return contexts(parse(render_yaml(settings=tuple(RETENTION), json_settings=settings)))


def test_no_pod_has_ids_with_the_values_for_openshift() -> None:
    found = contexts(render(OPENSHIFT, settings=RETENTION))
    assert found.keys() == ALL_PODS
    for pod, *of_containers in found.values():
        assert not IDS & pod.keys()
        assert pod == {
            "runAsNonRoot": True,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert of_containers
        assert not any(IDS & each.keys() for each in of_containers)


def test_a_server_in_the_chart_writes_only_to_volumes_with_the_values_for_openshift() -> None:
    """With a user id that is not in the image, it can write nowhere else."""
    for pod in pod_templates(render(OPENSHIFT)):
        for container in containers(pod):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}  # noqa: S108


def test_by_default_each_image_has_its_own_ids() -> None:
    found = {name: {pod[each] for each in IDS} for name, (pod, *_) in contexts(render(settings=RETENTION)).items()}
    assert found == {key: {65532} for key in ALL_PODS} | {"kafka": {1000}, "postgresql": {999}}


def test_the_fields_of_the_chart_reach_every_pod_and_container() -> None:
    for pod, *of_containers in rendered(
        **{"podSecurityContext.supplementalGroups": [7], "containerSecurityContext.readOnlyRootFilesystem": False}
    ).values():
        assert pod["supplementalGroups"] == [7]
        assert pod["runAsNonRoot"] is True
        assert [each["readOnlyRootFilesystem"] for each in of_containers] == [False] * len(of_containers)


@pytest.mark.parametrize(
    ("component", "pods"),
    [
        ("api", {"api"}),
        ("consumer", {"consumer"}),
        ("migrations", {"migration", "prune", "test"}),
        ("kafka", {"kafka"}),
        ("postgresql", {"postgresql"}),
    ],
)
def test_the_fields_of_a_component_override_those_of_the_chart(component: str, pods: set[str]) -> None:
    values = {
        f"{component}.podSecurityContext.runAsUser": 1_000_680_000,
        f"{component}.podSecurityContext.supplementalGroups": None,
        f"{component}.containerSecurityContext.readOnlyRootFilesystem": False,
    }
    for name, (pod, *of_containers) in rendered(**values).items():
        is_changed = name in pods
        assert (pod["runAsUser"] == 1_000_680_000) is is_changed
        assert "supplementalGroups" not in pod
        for each in of_containers:
            assert each["readOnlyRootFilesystem"] is not is_changed
            assert each["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("value", ["podSecurityContext", "kafka.containerSecurityContext"])
def test_a_misspelled_field_is_rejected(value: str) -> None:
    assert any("additional properties 'runAsUsr' not allowed" in line for line in rejection(f"{value}.runAsUsr=5"))

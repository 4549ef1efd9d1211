"""`consumer.kind=StatefulSet`: consumers are static members of their group."""

import pytest

from service.config import Settings
from tests.chart.helm import Manifest, of_kind, one, pod_templates, rejection, render

STATIC = "consumer.kind=StatefulSet"
INSTANCE_ID = "ORDERS_KAFKA__PROPERTIES__group.instance.id"
SESSION_TIMEOUT = "ORDERS_KAFKA__SESSION_TIMEOUT"


def consumer(*settings: str) -> Manifest:
    return one(render(settings=[STATIC, *settings]), "StatefulSet", "orders-consumer")


def test_the_stateful_set_replaces_the_deployment_and_has_the_same_pods() -> None:
    assert [each["metadata"]["name"] for each in of_kind(render(settings=[STATIC]), "Deployment")] == ["orders-api"]
    deployment, spec = one(render(), "Deployment", "orders-consumer")["spec"], consumer()["spec"]
    assert (spec["selector"], spec["replicas"]) == (deployment["selector"], deployment["replicas"])
    pod, expected = spec["template"]["spec"], deployment["template"]["spec"]
    (container,), (same,) = pod["containers"], expected["containers"]
    *env, instance = container["env"]
    assert instance == {"name": INSTANCE_ID, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    assert pod | {"containers": [container | {"env": env}]} == expected | {"containers": [same]}


def test_pods_start_together_and_have_names_in_a_headless_service() -> None:
    spec = consumer()["spec"]
    assert spec["podManagementPolicy"] == "Parallel"
    service = one(render(settings=[STATIC]), "Service", spec["serviceName"])
    assert (service["spec"]["clusterIP"], service["spec"]["publishNotReadyAddresses"]) == ("None", True)
    assert service["spec"]["selector"] == spec["selector"]["matchLabels"]


def test_only_the_consumers_container_has_the_pods_name_as_instance_id() -> None:
    settings = [STATIC, "retention.enabled=true", "retention.maxAge=400d"]
    containers = [
        (container["name"], each["name"])
        for pod in pod_templates(render(settings=settings))
        for container in (*pod["spec"].get("initContainers", []), *pod["spec"]["containers"])
        for each in container.get("env", [])
    ]
    assert [name for name, variable in containers if variable == INSTANCE_ID] == ["consumer"]


def test_the_service_reads_the_instance_id_from_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(INSTANCE_ID, "orders-consumer-0")
    assert Settings().kafka.properties == {"group.instance.id": "orders-consumer-0"}


def test_a_pod_has_a_minute_to_restart_unless_the_setting_says_otherwise() -> None:
    settings = (), (f"settings.{SESSION_TIMEOUT}=90s",)
    found = [one(render(settings=[STATIC, *each]), "ConfigMap", "orders")["data"][SESSION_TIMEOUT] for each in settings]
    assert found == ["60", "90s"]
    assert SESSION_TIMEOUT not in one(render(), "ConfigMap", "orders")["data"]


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
@pytest.mark.parametrize(
    ("scaler", "target"),
    [("autoscaling", "HorizontalPodAutoscaler"), ("keda", "ScaledObject")],
)
def test_autoscalers_refer_to_the_workload(kind: str, scaler: str, target: str) -> None:
    objects = render(settings=[f"consumer.kind={kind}", f"consumer.{scaler}.enabled=true"])
    reference = one(objects, target)["spec"]["scaleTargetRef"]
    assert (reference["kind"], reference["name"]) == (kind, "orders-consumer")
    assert "replicas" not in one(objects, kind, "orders-consumer")["spec"]


def test_the_autoscaler_of_the_api_refers_to_its_deployment() -> None:
    objects = render(settings=[STATIC, "api.autoscaling.enabled=true"])
    assert one(objects, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["kind"] == "Deployment"


def test_the_update_strategy_can_be_replaced() -> None:
    assert "updateStrategy" not in consumer()["spec"]
    assert consumer("consumer.updateStrategy.type=OnDelete")["spec"]["updateStrategy"] == {"type": "OnDelete"}


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ((STATIC, "consumer.strategy.type=Recreate"), "consumer.strategy is for a Deployment"),
        (("consumer.updateStrategy.type=OnDelete",), "consumer.updateStrategy is for a StatefulSet"),
        ((STATIC, f"extraEnv[0].name={INSTANCE_ID}".replace(".id", r".id")), f"extraEnv: {INSTANCE_ID} is set by"),
        ((r"settings.ORDERS_KAFKA__PROPERTIES__group\.instance\.id=a",), "set consumer.kind=StatefulSet instead"),
        (("consumer.kind=DaemonSet",), "'/consumer/kind': value must be one of 'Deployment', 'StatefulSet'"),
        ((STATIC, "consumer.updateStrategy.type=Recreate"), "'/consumer/updateStrategy/type'"),
    ],
)
def test_contradictory_values_are_rejected(settings: tuple[str, ...], line: str) -> None:
    assert sum(line in each for each in rejection(*settings)) == 1

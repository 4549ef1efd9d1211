"""What a release is made of: names, labels, switches, refusals, and what may change from one to the next."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.main import USAGE
from tests.chart.rendered import CHART, Manifest, of_kind, one, pod_templates, refusal, render, rendered
from tests.chart.test_pods import RELEASES, each_release

NAME, INSTANCE, COMPONENT = (f"app.kubernetes.io/{label}" for label in ("name", "instance", "component"))
OUTSIDE = ("kafka.enabled=false", "kafka.bootstrapServers=a:9093")
USER = ("kafka.sasl.mechanism=PLAIN", "kafka.sasl.username=a", "kafka.sasl.passwordSecret=b")
CHANGED = Path(__file__).parents[1] / "cluster" / "changed.yaml"


@each_release
def test_every_object_carries_the_labels_of_its_release(release: str) -> None:
    for each in render(RELEASES[release]):
        labels = each["metadata"]["labels"]
        assert labels[NAME] == labels[INSTANCE] == "orders"
        assert labels[COMPONENT]
        assert labels["helm.sh/chart"] == "orders-0.1.0"


@each_release
def test_selectors_are_name_instance_and_component_and_find_their_pods(release: str) -> None:
    objects = render(RELEASES[release])
    pods = [pod["metadata"]["labels"] for pod in pod_templates(objects)]
    for selector in selectors(objects):
        assert set(selector) == {NAME, INSTANCE, COMPONENT}
        assert any(selector.items() <= labels.items() for labels in pods) or selector[COMPONENT] == "test"


def selectors(objects: list[Manifest]) -> list[dict[str, str]]:
    services = [each["spec"]["selector"] for each in of_kind(objects, "Service")]
    chosen = of_kind(objects, "Deployment", "StatefulSet", "PodDisruptionBudget")
    policies = [each["spec"]["podSelector"]["matchLabels"] for each in of_kind(objects, "NetworkPolicy")]
    return [*services, *policies, *(each["spec"]["selector"]["matchLabels"] for each in chosen)]


def test_what_can_not_be_changed_is_the_same_in_another_version_with_other_values(tmp_path: Path) -> None:
    newer = Path(shutil.copytree(CHART, tmp_path / "chart"))
    about = yaml.safe_load((newer / "Chart.yaml").read_text(encoding="utf-8"))
    (newer / "Chart.yaml").write_text(json.dumps(about | {"version": "9.9.9", "appVersion": "9.9.9"}), encoding="utf-8")
    assert fixed(render()) == fixed(render(CHANGED, chart=newer))


def fixed(objects: list[Manifest]) -> dict[str, Any]:
    """Return what the API server lets nobody change."""
    workloads = of_kind(objects, "Deployment", "StatefulSet")
    return {
        f"{each['kind']}/{each['metadata']['name']}": (
            each["spec"]["selector"],
            each["spec"].get("serviceName"),
            each["spec"].get("volumeClaimTemplates"),
        )
        for each in workloads
    }


@pytest.mark.parametrize(
    "setting", ["image.tag=v2", "kafka.topic=other", "migrations.deadline=700", "extraEnv[0].name=A"]
)
def test_a_migration_with_another_spec_is_another_job(setting: str) -> None:
    before, after = one(render(), "Job"), one(render(settings=[setting]), "Job")
    assert before["spec"] != after["spec"]
    assert before["metadata"]["name"] != after["metadata"]["name"]


def test_a_migration_with_the_same_spec_is_the_same_job() -> None:
    assert one(render(), "Job") == one(render(settings=["api.replicas=3"]), "Job")


def test_a_migration_whose_settings_are_refused_fails_at_once() -> None:
    spec = one(render(), "Job")["spec"]
    (rule,) = spec["podFailurePolicy"]["rules"]
    assert rule == {
        "action": "FailJob",
        "onExitCodes": {"containerName": "migrate", "operator": "In", "values": [USAGE]},
    }
    assert spec["template"]["spec"]["containers"][0]["name"] == "migrate"


def test_a_hook_needs_nothing_that_the_release_makes() -> None:
    objects = render(RELEASES["hook"])
    job = one(objects, "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    made = {
        each["metadata"]["name"] for each in objects if "helm.sh/hook" not in each["metadata"].get("annotations", {})
    }
    spec = job["spec"]["template"]["spec"]
    needed = re.findall(r'"(?:name|secretName|configMapName)": "([^"]+)"', json.dumps(references(spec)))
    assert not made & {*needed, spec.get("serviceAccountName", "")}


def references(node: Any) -> list[Any]:
    """Return all that refers to a Secret or a ConfigMap."""
    if isinstance(node, dict):
        own = [value for key, value in node.items() if re.search("secret|configMap", key, re.IGNORECASE)]
        return own + [found for value in node.values() for found in references(value)]
    return [found for value in node for found in references(value)] if isinstance(node, list) else []


@pytest.mark.parametrize(
    ("kind", "count", "setting"),
    [
        ("HorizontalPodAutoscaler", 1, "api.autoscaling.enabled=true"),
        ("HorizontalPodAutoscaler", 1, "consumer.autoscaling.enabled=true"),
        ("ScaledObject", 1, "consumer.keda.enabled=true"),
        ("PodDisruptionBudget", 1, "api.podDisruptionBudget.enabled=true"),
        ("PodDisruptionBudget", 1, "consumer.podDisruptionBudget.enabled=true"),
        ("NetworkPolicy", 6, "networkPolicy.enabled=true"),
        ("ServiceMonitor", 2, "metrics.serviceMonitor.enabled=true"),
        ("PrometheusRule", 1, "metrics.prometheusRule.enabled=true,metrics.serviceMonitor.enabled=true"),
    ],
)
def test_each_part_stands_behind_its_switch(kind: str, count: int, setting: str) -> None:
    assert of_kind(render(), kind) == []
    assert len(of_kind(render(settings=[setting]), kind)) == count


@pytest.mark.parametrize(
    ("component", "setting"),
    [
        ("api", "api.autoscaling.enabled=true"),
        ("consumer", "consumer.autoscaling.enabled=true"),
        ("consumer", "consumer.keda.enabled=true"),
    ],
)
def test_what_a_scaler_owns_has_no_replicas(component: str, setting: str) -> None:
    assert "replicas" in one(render(), "Deployment", f"orders-{component}")["spec"]
    assert "replicas" not in one(render(settings=[setting]), "Deployment", f"orders-{component}")["spec"]


def test_monitors_find_the_metrics_of_their_pods() -> None:
    objects = render(RELEASES["kube-prometheus"])
    services = {each["metadata"]["name"]: each for each in of_kind(objects, "Service")}
    for monitor in of_kind(objects, "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        (service,) = (each for each in services.values() if wanted <= each["metadata"]["labels"].items())
        (endpoint,) = monitor["spec"]["endpoints"]
        (port,) = service["spec"]["ports"]
        assert (endpoint["port"], endpoint["path"]) == (port["name"], "/metrics")
        assert monitor["spec"]["namespaceSelector"]["matchNames"] == ["shop"]
        assert monitor["metadata"]["labels"]["release"] == "kube-prometheus-stack"


def test_alerts_and_dashboard_are_there_when_they_are_on() -> None:
    objects = render(RELEASES["kube-prometheus"])
    (group,) = one(objects, "PrometheusRule")["spec"]["groups"]
    assert {rule["alert"] for rule in group["rules"]} >= {
        "OrdersCircuitBreakerOpen",
        "OrdersLagGrows",
        "OrdersPostgresqlUnavailable",
    }
    dashboards = one(objects, "ConfigMap", "orders-dashboards")
    assert dashboards["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(dashboards["data"]["orders.json"])["panels"]


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (["kafka.enabled=false"], "kafka.bootstrapServers is required"),
        (["kafka.bootstrapServers=a:9092"], "kafka.bootstrapServers and kafka.enabled are mutually exclusive"),
        (["postgresql.enabled=false"], "postgresql.host is required"),
        (["postgresql.host=a"], "postgresql.host and postgresql.enabled are mutually exclusive"),
        (["postgresql.enabled=false", "postgresql.host=a"], "postgresql.existingSecret is required"),
        (
            ["postgresql.existingReadSecret=a"],
            "postgresql.existingWriteSecret and postgresql.existingReadSecret must be set together",
        ),
        (["migrations.mode=hook"], "migrations.mode=hook runs before the release's servers exist"),
        (
            ["consumer.keda.enabled=true", "consumer.autoscaling.enabled=true"],
            "consumer.keda.enabled and consumer.autoscaling.enabled are mutually exclusive",
        ),
        (["api.autoscaling.enabled=true", "api.autoscaling.minReplicas=9"], "api.autoscaling.minReplicas is greater"),
        (["ingress.enabled=true"], "ingress.hosts is required"),
        (["httpRoute.enabled=true"], "httpRoute.parentRefs is required"),
        (["api.resources.limits.memory=512Mi"], "api.resources.limits.memory is 512Mi, too small for cache.maxBytes"),
        (
            ["settings.ORDERS_HTTP__MAX_BUFFERED_BYTES=256MiB"],
            "api.resources.limits.memory is 640Mi, too small for cache.maxBytes: set at least 751Mi",
        ),
        (["settings.ORDERS_HTTP__MAX_BUFFERED_BYTES=268435456"], "set at least 751Mi"),
        (["api.resources.limits.memory=lots"], "api.resources.limits.memory: lots is not a quantity"),
        (
            ["consumer.resources.requests.memory=1Gi"],
            "consumer.resources.limits.memory is 512Mi, less than the request",
        ),
        (["api.resources.limits.cpu=50m"], "api.resources.limits.cpu is 50m, less than the request of 100m"),
        (["kafka.resources.requests.memory=2e9"], "kafka.resources.limits.memory is 1Gi, less than the request of 2e9"),
        (["migrations.resources.limits.memory=1M"], "migrations.resources.limits.memory is 1M, less than the request"),
        (["kafka.topic=orders.dlq"], "kafka.topic and kafka.deadLetterTopic are both orders.dlq"),
        (["settings.ORDERS_KAFKA__TOPIC=orders.dlq"], "kafka.topic and kafka.deadLetterTopic are both orders.dlq"),
        (
            ["metrics.prometheusRule.enabled=true"],
            "metrics.prometheusRule.enabled requires metrics.serviceMonitor.enabled",
        ),
        (["extraEnv[0].name=PGPASSWORD"], "extraEnv: PGPASSWORD is set by the chart"),
        (["extraEnv[0].name=ORDERS_KAFKA__TOPIC"], "extraEnv: ORDERS_KAFKA__TOPIC is a setting"),
        (["settings.ORDERS_HTTP__PORT=9"], "settings: ORDERS_HTTP__PORT is set by the chart"),
        (["extraEnv[0].name=A", "extraEnv[1].name=A"], "extraEnv: A is a duplicate"),
        (
            [r"settings.ORDERS_KAFKA__PROPERTIES__group\.instance\.id=a"],
            "settings: ORDERS_KAFKA__PROPERTIES__group.instance.id gives all pods the same group.instance.id",
        ),
        (["extraVolumes[0].name=tmp"], "extraVolumes: tmp is a duplicate or reserved by the chart"),
        (
            ["extraVolumeMounts[0].name=a", "extraVolumeMounts[0].mountPath=/tmp"],
            "extraVolumeMounts: /tmp is a duplicate or reserved by the chart",
        ),
        (
            [r"api.podLabels.app\.kubernetes\.io/instance=a"],
            "api.podLabels: app.kubernetes.io/instance is set by the chart",
        ),
        (
            [r"consumer.podAnnotations.checksum/settings=a"],
            "consumer.podAnnotations: checksum/settings is set by the chart",
        ),
        (
            [r"metrics.dashboards.additionalLabels.grafana_dashboard=a"],
            "metrics.dashboards.additionalLabels: grafana_dashboard is set by the chart",
        ),
        (
            ["settings.ORDERS_CACHE__MAX_BYTES=9"],
            "settings: set the value cache.maxBytes instead of ORDERS_CACHE__MAX_BYTES",
        ),
        (
            ["settings.ORDERS_AUTH__KEYS_FILE=/a"],
            "settings: set the value auth.existingSecret instead of ORDERS_AUTH__KEYS_FILE",
        ),
        (
            ["kafka.existingSecret=a", "settings.ORDERS_KAFKA__PROPERTIES="],
            "settings: ORDERS_KAFKA__PROPERTIES is set by the chart",
        ),
        (
            ["kafka.securityProtocol=SASL_SSL"],
            "kafka.securityProtocol, kafka.sasl and kafka.tls require brokers outside",
        ),
        (["kafka.tls.caSecret=a"], "kafka.securityProtocol, kafka.sasl and kafka.tls require brokers outside"),
        (["kafka.sasl.username=a"], "kafka.securityProtocol, kafka.sasl and kafka.tls require brokers outside"),
        ([*OUTSIDE, "kafka.tls.caSecret=a"], "kafka.tls has no effect without TLS"),
        (
            [*OUTSIDE, "kafka.tls.clientSecret=a", "kafka.securityProtocol=SASL_PLAINTEXT"],
            "kafka.tls has no effect without TLS",
        ),
        ([*OUTSIDE, "kafka.sasl.mechanism=PLAIN"], "kafka.sasl has no effect without SASL"),
        (
            [*OUTSIDE, "kafka.sasl.mechanism=PLAIN", "kafka.securityProtocol=SSL"],
            "kafka.sasl has no effect without SASL",
        ),
        (
            [*OUTSIDE, "kafka.securityProtocol=SASL_SSL", "kafka.sasl.username=a"],
            "kafka.sasl.passwordSecret are required if kafka.securityProtocol is SASL_SSL",
        ),
        (
            [
                *OUTSIDE,
                "kafka.securityProtocol=SASL_SSL",
                *USER,
                "extraEnv[0].name=ORDERS_KAFKA__PROPERTIES__sasl.password",
            ],
            "extraEnv: ORDERS_KAFKA__PROPERTIES__sasl.password is set by the chart",
        ),
        (["postgresql.tls.mode=require"], "postgresql.tls requires a server outside the chart"),
        (["postgresql.tls.caSecret=a"], "postgresql.tls requires a server outside the chart"),
        (["postgresql.tls.clientSecret=a"], "postgresql.tls requires a server outside the chart"),
        (
            [
                "postgresql.enabled=false",
                "postgresql.host=a",
                "postgresql.existingSecret=b",
                "postgresql.tls.mode=verify-ca",
            ],
            "postgresql.tls.caSecret is required if postgresql.tls.mode is verify-ca",
        ),
    ],
)
def test_contradictions_are_refused_in_one_line_that_names_the_value(settings: list[str], line: str) -> None:
    told = refusal(*settings)
    assert sum(line in each for each in told) == 1
    assert told[0].startswith("Error: execution error at (orders/templates/validation.yaml:1:4): ")


def test_a_release_that_does_not_migrate_needs_no_login_that_could() -> None:
    logins = ["postgresql.existingWriteSecret=w", "postgresql.existingReadSecret=r"]
    outside = ["postgresql.enabled=false", "postgresql.host=a", *logins]
    assert any("postgresql.existingSecret is required" in line for line in refusal(*outside))
    assert render(settings=[*outside, "migrations.mode=none"])


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("migrations.mod=hook", "'/migrations': additional properties 'mod' not allowed"),
        ("replicas=3", "additional properties 'replicas' not allowed"),
        ("migrations.mode=hooks", "'/migrations/mode': value must be one of 'job', 'hook', 'none'"),
        ("api.replicas=two", "'/api/replicas': got string, want integer"),
        ("api.resources.limits=null", "'/api/resources': missing property 'limits'"),
        ("image.digest=abc", "'/image/digest'"),
        ("settings.ORDERS_LOG__LEVEL=loud", "'/settings/ORDERS_LOG__LEVEL': value must be one of 'debug', 'info'"),
        ("settings.ORDERS_LOGG__LEVEL=info", "'/settings': additional properties 'ORDERS_LOGG__LEVEL' not allowed"),
        ("kafka.topics.replicationFactor=0", "'/kafka/topics/replicationFactor'"),
    ],
)
def test_misspelt_and_wrong_values_are_refused_by_name(setting: str, line: str) -> None:
    assert any(line in each for each in refusal(setting))


def test_a_parent_chart_may_pass_any_global() -> None:
    values = (RELEASES["external"],)  # without passwords, which are new each time
    assert rendered(values, settings=("global.a.b=c",)) == rendered(values)


def test_no_name_is_longer_than_kubernetes_takes() -> None:
    for each in render(RELEASES["everything"], name="r" * 53):
        assert len(each["metadata"]["name"]) <= 63
        assert all(len(str(value)) <= 63 for value in each["metadata"]["labels"].values())


@pytest.mark.parametrize(
    ("name", "prefix"), [("orders", "orders"), ("my-orders", "my-orders"), ("shop", "shop-orders")]
)
def test_objects_are_named_after_the_release(name: str, prefix: str) -> None:
    assert one(render(name=name), "Service", f"{prefix}-api")


def test_the_readme_names_every_value_with_its_default() -> None:
    readme = (CHART / "README.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| ([\w.]+) \|", readme, re.MULTILINE)) - {"Key"}
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert documented == set(leaves(values, lambda path: path in documented))


def test_the_readme_is_what_helm_docs_makes_of_the_chart() -> None:
    if not shutil.which("helm-docs"):
        pytest.skip("there is no helm-docs on the path")
    command = [
        "helm-docs",
        f"--chart-search-root={CHART}",
        "--sort-values-order=file",
        "--dry-run",
        "--log-level=error",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)  # noqa: S603
    assert done.stdout.strip() == (CHART / "README.md").read_text(encoding="utf-8").strip()


def leaves(node: Any, ends: Callable[[str], bool], path: str = "") -> list[str]:
    """Return the paths of all values; a map that is documented as a whole counts as one."""
    if ends(path) or not isinstance(node, dict) or not node:
        return [path]
    return [found for key, value in node.items() for found in leaves(value, ends, f"{path}.{key}" if path else key)]


@each_release
def test_the_linter_finds_nothing(release: str) -> None:
    command = ["helm", "lint", "--strict", str(CHART), f"--values={RELEASES[release]}", "--kube-version=1.34.0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr

"""The objects of a release: names, labels, switches, rejected values, and immutable fields."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.pkg.exit_codes import ExitCode
from tests.chart.helm import CHART, Manifest, of_kind, one, pod_templates, rejection, render, render_yaml
from tests.chart.test_pods import RELEASES, RETENTION, each_release

DAY_SECONDS = 86_400
NAME, INSTANCE, COMPONENT = (f"app.kubernetes.io/{label}" for label in ("name", "instance", "component"))
EXTERNAL_KAFKA = ("kafka.enabled=false", "kafka.bootstrapServers=a:9093")
SASL_USER = ("kafka.sasl.mechanism=PLAIN", "kafka.sasl.username=a", "kafka.sasl.passwordSecret=b")
CHANGED = Path(__file__).parents[1] / "cluster" / "changed.yaml"


@each_release
def test_every_object_has_the_labels_of_its_release(release: str) -> None:
    for each in render(RELEASES[release]):
        labels = each["metadata"]["labels"]
        assert labels[NAME] == labels[INSTANCE] == "orders"
        assert labels[COMPONENT]
        assert labels["helm.sh/chart"] == "orders-0.1.0"


@each_release
def test_selectors_are_name_instance_and_component_and_match_pods(release: str) -> None:
    objects = render(RELEASES[release])
    pods = [pod["metadata"]["labels"] for pod in pod_templates(objects)]
    for selector in selectors(objects):
        assert set(selector) == {NAME, INSTANCE, COMPONENT}
        assert any(selector.items() <= labels.items() for labels in pods) or selector[COMPONENT] == "test"


def selectors(objects: list[Manifest]) -> list[dict[str, str]]:
    services = [each["spec"]["selector"] for each in of_kind(objects, "Service")]
    others = of_kind(objects, "Deployment", "StatefulSet", "PodDisruptionBudget")
    policies = [each["spec"]["podSelector"]["matchLabels"] for each in of_kind(objects, "NetworkPolicy")]
    return [*services, *policies, *(each["spec"]["selector"]["matchLabels"] for each in others)]


def test_immutable_fields_survive_another_version_and_other_values(tmp_path: Path) -> None:
    newer = Path(shutil.copytree(CHART, tmp_path / "chart"))
    metadata = yaml.safe_load((newer / "Chart.yaml").read_text(encoding="utf-8"))
    (newer / "Chart.yaml").write_text(
        json.dumps(metadata | {"version": "9.9.9", "appVersion": "9.9.9"}), encoding="utf-8"
    )
    assert immutable(render()) == immutable(render(CHANGED, chart=newer))


def immutable(objects: list[Manifest]) -> dict[str, Any]:
    """Return the fields that the API server refuses to change."""
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
    "setting", ["image.tag=v2", "kafka.topic=other", "migrations.timeout=700", "extraEnv[0].name=A"]
)
def test_a_changed_migration_is_another_job(setting: str) -> None:
    before, after = one(render(), "Job"), one(render(settings=[setting]), "Job")
    assert before["spec"] != after["spec"]
    assert before["metadata"]["name"] != after["metadata"]["name"]


def test_an_unchanged_migration_is_the_same_job() -> None:
    assert one(render(), "Job") == one(render(settings=["api.replicas=3"]), "Job")


def test_a_migration_with_invalid_settings_is_not_retried() -> None:
    spec = one(render(), "Job")["spec"]
    (rule,) = spec["podFailurePolicy"]["rules"]
    assert rule == {
        "action": "FailJob",
        "onExitCodes": {"containerName": "migrate", "operator": "In", "values": [ExitCode.USAGE]},
    }
    assert spec["template"]["spec"]["containers"][0]["name"] == "migrate"


def test_the_retention_is_for_consumers_and_for_a_cron_job_that_never_overlaps_itself() -> None:
    objects = render(settings=[*RETENTION, "retention.schedule=0 4 * * 7"])
    spec = one(objects, "CronJob", "orders-prune")["spec"]
    assert (spec["schedule"], spec["concurrencyPolicy"]) == ("0 4 * * 7", "Forbid")
    job = spec["jobTemplate"]["spec"]
    assert job["activeDeadlineSeconds"] < DAY_SECONDS  # so that the next run is not skipped
    (prune,) = job["template"]["spec"]["containers"]
    assert (prune["args"], prune["envFrom"]) == (["prune", "--yes"], [{"configMapRef": {"name": "orders"}}])
    (rule,) = job["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"] == {"containerName": prune["name"], "operator": "In", "values": [ExitCode.USAGE]}
    assert one(objects, "ConfigMap", "orders")["data"]["ORDERS_RETENTION__MAX_AGE"] == "400d"
    only_consumers = render(settings=["retention.maxAge=400d"])
    assert of_kind(only_consumers, "CronJob") == []
    assert one(only_consumers, "ConfigMap", "orders")["data"]["ORDERS_RETENTION__MAX_AGE"] == "400d"
    assert "ORDERS_RETENTION__MAX_AGE" not in one(render(), "ConfigMap", "orders")["data"]


def test_a_hook_uses_no_object_of_the_release() -> None:
    objects = render(RELEASES["hook"])
    job = one(objects, "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    created = {
        each["metadata"]["name"] for each in objects if "helm.sh/hook" not in each["metadata"].get("annotations", {})
    }
    spec = job["spec"]["template"]["spec"]
    needed = re.findall(r'"(?:name|secretName|configMapName)": "([^"]+)"', json.dumps(references(spec)))
    assert not created & {*needed, spec.get("serviceAccountName", "")}
    assert job["metadata"]["name"] == "orders-migrate-hook"  # so that the next hook replaces a failed Job
    policy = job["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
    assert policy == "before-hook-creation,hook-succeeded"  # a failed Job stays, with its log


def references(node: Any) -> list[Any]:
    """Return the values that refer to a Secret or a ConfigMap."""
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
        ("CronJob", 1, "retention.enabled=true,retention.maxAge=400d"),
        ("ServiceMonitor", 2, "metrics.serviceMonitor.enabled=true"),
        ("PrometheusRule", 1, "metrics.prometheusRule.enabled=true,metrics.serviceMonitor.enabled=true"),
    ],
)
def test_each_optional_part_has_a_switch(kind: str, count: int, setting: str) -> None:
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
def test_an_autoscaled_deployment_has_no_replicas(component: str, setting: str) -> None:
    assert "replicas" in one(render(), "Deployment", f"orders-{component}")["spec"]
    assert "replicas" not in one(render(settings=[setting]), "Deployment", f"orders-{component}")["spec"]


def test_service_monitors_select_the_metrics_services() -> None:
    objects = render(RELEASES["kube-prometheus"])
    services = {each["metadata"]["name"]: each for each in of_kind(objects, "Service")}
    for monitor in of_kind(objects, "ServiceMonitor"):
        selector = monitor["spec"]["selector"]["matchLabels"].items()
        (service,) = (each for each in services.values() if selector <= each["metadata"]["labels"].items())
        (endpoint,) = monitor["spec"]["endpoints"]
        (port,) = service["spec"]["ports"]
        assert (endpoint["port"], endpoint["path"]) == (port["name"], "/metrics")
        assert monitor["spec"]["namespaceSelector"]["matchNames"] == ["shop"]
        assert monitor["metadata"]["labels"]["release"] == "kube-prometheus-stack"


def test_alerts_and_dashboard_can_be_enabled() -> None:
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
        (["postgresql.maxWalSize=5Gi"], "postgresql.maxWalSize is 5Gi, more than half of postgresql.persistence.size"),
        (["migrations.mode=hook"], "migrations.mode=hook runs before the release's servers exist"),
        (
            ["consumer.keda.enabled=true", "consumer.autoscaling.enabled=true"],
            "consumer.keda.enabled and consumer.autoscaling.enabled are mutually exclusive",
        ),
        (["api.autoscaling.enabled=true", "api.autoscaling.minReplicas=9"], "api.autoscaling.minReplicas is greater"),
        (["retention.enabled=true"], "retention.maxAge is required"),
        (["api.service.nodePort=30080"], "api.service.nodePort requires api.service.type NodePort"),
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
        (["kafka.topics.names={orders,orders.dlq}"], "kafka.topics.names contains kafka.deadLetterTopic (orders.dlq)"),
        (
            [r"settings.ORDERS_KAFKA__TOPICS=orders\,orders.dlq"],
            "kafka.topics.names contains kafka.deadLetterTopic (orders.dlq)",
        ),
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
        (["consumer.extraVolumes[0].name=tmp"], "consumer.extraVolumes: tmp is a duplicate or reserved by the chart"),
        (
            ["extraVolumes[0].name=a", "consumer.extraVolumes[0].name=a"],
            "extraVolumes: a is a duplicate or reserved by the chart",
        ),
        (
            ["consumer.extraVolumeMounts[0].name=a", "consumer.extraVolumeMounts[0].mountPath=/tmp"],
            "consumer.extraVolumeMounts: /tmp is a duplicate or reserved by the chart",
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
        ([*EXTERNAL_KAFKA, "kafka.tls.caSecret=a"], "kafka.tls has no effect without TLS"),
        (
            [*EXTERNAL_KAFKA, "kafka.tls.clientSecret=a", "kafka.securityProtocol=SASL_PLAINTEXT"],
            "kafka.tls has no effect without TLS",
        ),
        ([*EXTERNAL_KAFKA, "kafka.sasl.mechanism=PLAIN"], "kafka.sasl has no effect without SASL"),
        (
            [*EXTERNAL_KAFKA, "kafka.sasl.mechanism=PLAIN", "kafka.securityProtocol=SSL"],
            "kafka.sasl has no effect without SASL",
        ),
        (
            [*EXTERNAL_KAFKA, "kafka.securityProtocol=SASL_SSL", "kafka.sasl.username=a"],
            "kafka.sasl.passwordSecret are required if kafka.securityProtocol is SASL_SSL",
        ),
        (
            [
                *EXTERNAL_KAFKA,
                "kafka.securityProtocol=SASL_SSL",
                *SASL_USER,
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
def test_contradictory_values_are_rejected_in_one_line_that_names_them(settings: list[str], line: str) -> None:
    lines = rejection(*settings)
    assert sum(line in each for each in lines) == 1
    assert lines[0].startswith("Error: execution error at (orders/templates/validation.yaml:1:4): ")


def test_without_migrations_the_owners_login_is_optional() -> None:
    logins = ["postgresql.existingWriteSecret=w", "postgresql.existingReadSecret=r"]
    external = ["postgresql.enabled=false", "postgresql.host=a", *logins]
    assert any("postgresql.existingSecret is required" in line for line in rejection(*external))
    assert render(settings=[*external, "migrations.mode=none"])
    retaining = rejection(*external, "migrations.mode=none", *RETENTION)
    assert any("postgresql.existingSecret is required" in line for line in retaining)


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("migrations.mod=hook", "'/migrations': additional properties 'mod' not allowed"),
        ("replicas=3", "additional properties 'replicas' not allowed"),
        ("migrations.mode=hooks", "'/migrations/mode': value must be one of 'job', 'hook', 'none'"),
        ("api.replicas=two", "'/api/replicas': got string, want integer"),
        ("api.resources.limits=null", "'/api/resources': missing property 'limits'"),
        ("image.digest=abc", "'/image/digest'"),
        ("retention.maxAge=400", "'/retention/maxAge'"),
        ("retention.maxAge=400 days", "'/retention/maxAge'"),
        ("retention.activeDeadlineSeconds=23h", "'/retention/activeDeadlineSeconds'"),
        ("settings.ORDERS_LOG__LEVEL=loud", "'/settings/ORDERS_LOG__LEVEL': value must be one of 'debug', 'info'"),
        ("settings.ORDERS_LOGG__LEVEL=info", "'/settings': additional properties 'ORDERS_LOGG__LEVEL' not allowed"),
        ("postgresql.maxWalSize=10", "'/postgresql/maxWalSize'"),
        ("kafka.topics.replicationFactor=0", "'/kafka/topics/replicationFactor'"),
    ],
)
def test_misspelled_and_invalid_values_are_rejected_with_their_path(setting: str, line: str) -> None:
    assert any(line in each for each in rejection(setting))


def test_any_global_value_is_accepted() -> None:
    assert render_yaml(settings=("global.a.b=c",)) == render_yaml()


def test_names_and_labels_of_the_longest_release_name_have_at_most_63_characters() -> None:
    for each in render(RELEASES["everything"], name="r" * 53):
        assert len(each["metadata"]["name"]) <= 63
        assert all(len(str(value)) <= 63 for value in each["metadata"]["labels"].values())


def test_the_objects_of_releases_whose_long_names_differ_only_at_the_end_have_different_names() -> None:
    first, second = ({each["metadata"]["name"] for each in render(name="r" * 52 + end)} for end in "ab")
    assert not first & second


@pytest.mark.parametrize(
    ("name", "prefix"), [("orders", "orders"), ("my-orders", "my-orders"), ("shop", "shop-orders")]
)
def test_objects_are_named_after_the_release(name: str, prefix: str) -> None:
    assert one(render(name=name), "Service", f"{prefix}-api")


@each_release
def test_helm_lint_finds_nothing(release: str) -> None:
    command = ["helm", "lint", "--strict", str(CHART), f"--values={RELEASES[release]}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr

"""The examples in k8s/: the chart accepts the values files, and the manifests fit them."""

from collections.abc import Iterator
from itertools import chain
from typing import Any, Final

import pytest
import yaml

from service.config import Settings
from tests.chart.helm import ROOT, of_kind, pod_templates, render
from tests.chart.network_policies import Peer, Port, may_connect
from tests.chart.network_policies import pods as peers
from tests.chart.test_extensions import COMPONENT, OWN_IMAGE
from tests.chart.test_pods import RETENTION

K8S: Final = ROOT / "k8s"
VALUES: Final = {file.stem: file for file in sorted((K8S / "values").glob("*.yaml"))}
MANIFESTS: Final = {file.stem: file for file in sorted(K8S.glob("*.yaml"))}
TOGETHER: Final = ("production", "strimzi", "cloudnative-pg", "kube-prometheus-stack")

Manifest = dict[str, Any]


def documents(name: str) -> list[Manifest]:
    return list(yaml.safe_load_all(MANIFESTS[name].read_text(encoding="utf-8")))


def one(objects: list[Manifest], kind: str, name: str | None = None) -> Manifest:
    (found,) = (each for each in objects if each["kind"] == kind and name in {None, each["metadata"]["name"]})
    return found


def pods(objects: list[Manifest]) -> Iterator[Manifest]:
    return (template["spec"] for template in pod_templates(objects))


def test_the_readme_names_every_file() -> None:
    readme = (K8S / "README.md").read_text(encoding="utf-8")
    files = {str(file.relative_to(K8S)) for file in chain(MANIFESTS.values(), VALUES.values())}
    assert {file for file in files if f"`{file}`" not in readme} == set()


@pytest.mark.parametrize("name", VALUES)
def test_the_chart_accepts_each_values_file(name: str) -> None:
    assert render(VALUES[name])


def test_the_chart_accepts_production_values_with_those_of_the_operators() -> None:
    objects = render(*(VALUES[name] for name in TOGETHER))
    assert {each["kind"] for each in objects} >= {"ServiceMonitor", "PrometheusRule", "NetworkPolicy", "Job"}
    assert "StatefulSet" not in {each["kind"] for each in objects}


def test_no_container_has_a_duplicate_variable() -> None:
    for pod in pods(render(*(VALUES[name] for name in TOGETHER))):
        for container in chain(pod.get("initContainers", []), pod["containers"]):
            names = [each["name"] for each in container["env"]]
            assert len(names) == len(set(names)), names


@pytest.mark.parametrize("name", MANIFESTS)
def test_each_manifest_has_a_version_a_kind_and_a_name(name: str) -> None:
    for each in documents(name):
        assert each["apiVersion"]
        assert each["kind"]
        assert each["kind"] == "Cluster" or {"name", "generateName"} & each["metadata"].keys()


@pytest.mark.parametrize("name", [name for name in MANIFESTS if any(pods(documents(name)))])
def test_pods_meet_the_restricted_standard(name: str) -> None:
    for pod in pods(documents(name)):
        security = pod["securityContext"]
        assert security["runAsNonRoot"]
        assert isinstance(security["runAsUser"], int)
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["readOnlyRootFilesystem"] is True
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert {"requests", "limits"} <= set(container["resources"])


@pytest.mark.parametrize("name", ["backup", "distribute", "erase", "migrate", "restore", "skip-batch"])
def test_jobs_use_the_names_of_the_release(name: str) -> None:
    objects = render()
    (pod,) = pods(documents(name))
    (container,) = pod["containers"]
    for settings in container.get("envFrom", []):
        assert one(objects, "ConfigMap", settings["configMapRef"]["name"])
    for each in container.get("env", []):
        if each["name"] == "PGHOST":
            assert one(objects, "Service", each["value"])
        if "valueFrom" in each:
            reference = each["valueFrom"]["secretKeyRef"]
            secret = one(objects, "Secret", reference["name"])
            assert reference["key"] in secret.get("data", {}) | secret.get("stringData", {})


def test_the_strimzi_values_use_the_names_in_the_manifests() -> None:
    kafka, user = one(documents("strimzi"), "Kafka"), one(documents("strimzi"), "KafkaUser")
    topics = {each["metadata"]["name"] for each in documents("strimzi") if each["kind"] == "KafkaTopic"}
    objects = render(VALUES["strimzi"])
    settings = one(objects, "ConfigMap", "orders")["data"]
    name, port = kafka["metadata"]["name"], kafka["spec"]["kafka"]["listeners"][0]["port"]
    assert settings["ORDERS_KAFKA__BOOTSTRAP_SERVERS"] == f"{name}-kafka-bootstrap:{port}"
    assert topics == {settings["ORDERS_KAFKA__TOPIC"], settings["ORDERS_KAFKA__DEAD_LETTER_TOPIC"]}
    pod = one(objects, "Deployment", "orders-consumer")["spec"]["template"]["spec"]
    mounted = {each["secret"]["secretName"] for each in pod["volumes"] if "secret" in each}
    assert {f"{name}-cluster-ca-cert", user["metadata"]["name"]} <= mounted


def test_the_service_gets_the_properties_for_strimzi(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in one(render(VALUES["strimzi"]), "ConfigMap", "orders")["data"].items():
        monkeypatch.setenv(name, value)
    assert Settings().kafka.properties == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": one(documents("strimzi"), "KafkaUser")["metadata"]["name"],
        "ssl.ca.location": "/etc/orders/kafka/ca.crt",
    }


def test_the_values_of_a_schema_registry_mount_its_secret_where_the_settings_expect_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    objects = render(VALUES["schema-registry"], settings=["networkPolicy.enabled=true"])
    for name, value in one(objects, "ConfigMap", "orders")["data"].items():
        monkeypatch.setenv(name, value)
    registry, files = Settings().registry, {"password", "ca.crt"}
    pod = one(objects, "Deployment", "orders-consumer")["spec"]["template"]["spec"]
    (volume,) = (each for each in pod["volumes"] if each["name"] == "registry")
    (consumer,) = pod["containers"]
    (mount,) = (each for each in consumer["volumeMounts"] if each["name"] == "registry")
    assert {str(registry.password_file), str(registry.ca_file)} == {f"{mount['mountPath']}/{name}" for name in files}
    command = next(
        line for line in (K8S / "README.md").read_text(encoding="utf-8").splitlines() if "orders-registry" in line
    )
    assert command.split()[:5] == ["kubectl", "create", "secret", "generic", volume["secret"]["secretName"]]
    assert {word.removeprefix("--from-file=") for word in command.split()[5:]} == files
    assert pod["securityContext"]["fsGroup"]
    assert volume["secret"]["defaultMode"] == 0o440


def test_only_the_consumer_may_connect_to_the_schema_registry() -> None:
    registry, other = Peer({}, address="192.0.2.7"), Peer({}, address="203.0.113.7")
    objects = render(VALUES["schema-registry"], settings=[*RETENTION, "networkPolicy.enabled=true"])
    policies = of_kind(objects, "NetworkPolicy")
    found = {name: pod for name, pod in peers(objects).items() if name in OWN_IMAGE}
    assert found.keys() == OWN_IMAGE
    assert {name for name, pod in found.items() if may_connect(policies, pod, registry, Port(443))} == {"consumer"}
    assert not any(may_connect(policies, pod, other, Port(443)) for pod in found.values())


def test_only_the_consumer_has_the_login_of_the_schema_registry() -> None:
    objects = render(VALUES["schema-registry"], settings=RETENTION)
    templates = [*pod_templates(objects)]
    mounting = [pod["metadata"]["labels"][COMPONENT] for pod in templates if "orders-registry" in str(pod)]
    assert (mounting, len(templates)) == (["consumer"], 7)


def test_the_cloudnative_pg_values_use_the_names_in_the_manifest() -> None:
    cluster = one(documents("cloudnative-pg"), "Cluster")
    name, database = cluster["metadata"]["name"], cluster["spec"]["bootstrap"]["initdb"]["database"]
    values = yaml.safe_load(VALUES["cloudnative-pg"].read_text(encoding="utf-8"))["postgresql"]
    assert values["host"] == f"{name}-rw"
    assert values["existingSecret"] == f"{name}-app"
    assert values["tls"]["caSecret"] == f"{name}-ca"
    secrets = {role["name"]: role["passwordSecret"]["name"] for role in cluster["spec"]["managed"]["roles"]}
    assert secrets == {"orders_write": values["existingWriteSecret"], "orders_read": values["existingReadSecret"]}
    settings = one(render(VALUES["cloudnative-pg"]), "ConfigMap", "orders")["data"]
    assert settings["ORDERS_POSTGRES__DSN"] == f"postgresql://{name}-rw:5432/{database}"


def test_no_pod_mounts_the_private_key_of_postgresqls_ca() -> None:
    for pod in pods(render(VALUES["cloudnative-pg"])):
        for volume in pod["volumes"]:
            if volume.get("secret", {}).get("secretName") == "orders-db-ca":
                assert volume["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]


def test_the_readme_creates_every_secret_of_the_production_values() -> None:
    readme = (K8S / "README.md").read_text(encoding="utf-8")
    values = yaml.safe_load(VALUES["production"].read_text(encoding="utf-8"))["postgresql"]
    secrets = [values[f"existing{login}Secret"] for login in ("", "Write", "Read")] + [values["tls"]["caSecret"]]
    assert {each for each in secrets if f"create secret generic {each} " not in readme} == set()


def test_kafka_ui_connects_read_only_to_the_charts_kafka() -> None:
    (container,) = one(documents("kafka-ui"), "Deployment")["spec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each["value"] for each in container["env"]}
    services = {each["metadata"]["name"] for each in render() if each["kind"] == "Service"}
    host, port = variables["KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS"].split(":")
    assert host in services
    assert port == "9092"
    assert variables["KAFKA_CLUSTERS_0_READONLY"] == "true"


@pytest.mark.parametrize("name", ["kube-prometheus-stack", "kube-prometheus"])
def test_prometheus_values_enable_monitors_and_alerts(name: str) -> None:
    objects = render(VALUES[name])
    assert sum(each["kind"] == "ServiceMonitor" for each in objects) == 2
    assert one(objects, "PrometheusRule")


def test_objects_have_the_labels_that_kube_prometheus_stack_selects() -> None:
    objects = render(VALUES["kube-prometheus-stack"])
    selected = [each for each in objects if each["kind"] in {"ServiceMonitor", "PrometheusRule"}]
    assert {each["metadata"]["labels"]["release"] for each in selected} == {"kube-prometheus-stack"}
    assert one(objects, "ConfigMap", "orders-dashboards")["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_kube_prometheus_may_discover_targets() -> None:
    role, binding = one(documents("kube-prometheus"), "Role"), one(documents("kube-prometheus"), "RoleBinding")
    allowed = {resource for rule in role["rules"] for resource in rule["resources"]}
    assert {"services", "endpoints", "pods", "endpointslices"} <= allowed
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "prometheus-k8s", "namespace": "monitoring"}]

"""Every pod of every release in chart/ci: security context, resources, Secrets, scheduling, probes."""

import json
import re
from base64 import b64decode
from collections.abc import Sequence

import pytest

from service.app.api.servers import ADMIN_DRAIN_SECONDS
from service.app.tracing import FLUSH_TIMEOUT_SECONDS
from service.config import Settings
from service.handler.http.serve import CANCEL_TIMEOUT_SECONDS
from service.handler.kafka.consumer import shutdown
from service.pkg.units import parse_seconds
from service.repo.reader import pool
from tests.chart.helm import CHART, Manifest, containers, of_kind, one, parse, pod_templates, render, render_yaml

RELEASES = {file.stem.removesuffix("-values"): file for file in sorted((CHART / "ci").glob("*-values.yaml"))}
SHUTDOWN_MARGIN_SECONDS = 5
"""Time for what ends without waiting for a server, on a busy node."""
UNITS = {"m": 0.001, "Mi": 2**20, "Gi": 2**30, "": 1.0}

each_release = pytest.mark.parametrize("release", RELEASES)


def pods(release: str) -> list[Manifest]:
    found = [*pod_templates(render(RELEASES[release]))]
    assert found
    return found


@each_release
def test_every_pod_meets_the_restricted_standard_with_a_read_only_root(release: str) -> None:
    for pod in pods(release):
        security = pod["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] > 0
        assert security["runAsGroup"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


@each_release
def test_no_pod_gets_a_token_or_service_links(release: str) -> None:
    for pod in pods(release):
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert pod["spec"]["enableServiceLinks"] is False


@each_release
def test_every_container_has_requests_and_a_memory_limit(release: str) -> None:
    for pod in pods(release):
        for container in containers(pod):
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


def test_only_the_api_and_the_test_of_the_release_mount_the_api_keys() -> None:
    names = {name for name, keys in api_key_mounts(render(settings=["auth.existingSecret=a"])).items() if keys}
    assert names == {"orders-api", "orders-test"}
    assert not any(api_key_mounts(render()).values())


RETENTION = ["retention.enabled=true", "retention.maxAge=400d"]
THREE_LOGINS = ["postgresql.existingSecret=m", "postgresql.existingWriteSecret=w", "postgresql.existingReadSecret=r"]


@pytest.mark.parametrize(
    ("settings", "migrate", "write", "read"),
    [
        ([], "orders-postgresql", "orders-postgresql-write", "orders-postgresql-read"),
        (["postgresql.existingSecret=one"], "one", "one", "one"),
        (THREE_LOGINS, "m", "w", "r"),
        ([*THREE_LOGINS, "postgresql.enabled=false", "postgresql.host=a"], "m", "w", "r"),
    ],
)
def test_each_pod_gets_only_the_login_of_its_role(settings: list[str], migrate: str, write: str, read: str) -> None:
    found = {
        pod["metadata"]["labels"]["app.kubernetes.io/component"]: login_secrets(pod)
        for pod in pod_templates(render(settings=[*settings, *RETENTION]))
    }
    assert found.pop("postgresql", {migrate, write, read}) == {migrate, write, read}
    found.pop("kafka")
    assert found == {
        "migration": {migrate}, "prune": {migrate}, "consumer": {write}, "api": {read}, "test": set(),
    }  # fmt: skip


def test_the_test_of_the_release_cannot_reach_postgresql() -> None:
    policies = of_kind(render(settings=["networkPolicy.enabled=true"]), "NetworkPolicy")
    reach = {
        each["metadata"]["name"]
        for each in policies
        if any(port["port"] == 5432 for rule in each["spec"]["egress"] for port in rule.get("ports", []))
    }
    assert reach == {"orders-api", "orders-consumer", "orders-migration"}


def login_secrets(pod: Manifest) -> set[str]:
    """Return the Secrets that the pod's variables refer to, init containers included."""
    return {
        variable["valueFrom"]["secretKeyRef"]["name"]
        for container in containers(pod)
        for variable in container.get("env", [])
        if "valueFrom" in variable
    }


def test_init_containers_that_wait_for_migrations_have_a_login() -> None:
    for component in ("api", "consumer"):
        pod = one(render(), "Deployment", f"orders-{component}")["spec"]["template"]["spec"]
        for container in (*pod["initContainers"], *pod["containers"]):
            names = {variable["name"] for variable in container["env"]}
            assert {"PGUSER", "ORDERS_POSTGRES__PASSWORD_FILE"} <= names


def test_the_chart_creates_a_secret_for_each_login_without_one() -> None:
    users = {name: b64decode(secret["username"]).decode() for name, secret in chart_secrets(render()).items()}
    assert users == {
        "orders-postgresql": "orders",
        "orders-postgresql-write": "orders_write",
        "orders-postgresql-read": "orders_read",
    }
    passwords = [secret[key] for secret in chart_secrets(render()).values() for key in secret if "password" in key]
    assert len(set(passwords)) == len(passwords) == 3
    assert set(chart_secrets(render(settings=["postgresql.existingSecret=one"]))) == set()
    assert set(chart_secrets(render(settings=THREE_LOGINS[1:]))) == {"orders-postgresql"}
    assert set(chart_secrets(render(RELEASES["external"]))) == set()


def chart_secrets(objects: list[Manifest]) -> dict[str, dict[str, str]]:
    return {each["metadata"]["name"]: each["data"] for each in of_kind(objects, "Secret")}


@pytest.mark.parametrize("component", ["api", "consumer", "postgresql"])
def test_a_changed_password_restarts_the_pods(component: str) -> None:
    first, second = (
        password_checksum(render(settings=[f"postgresql.passwordSeed={seed}"]), component) for seed in "ab"
    )
    assert first != second


def password_checksum(objects: list[Manifest], component: str) -> str:
    """Return the checksum of the passwords; that of the settings is another annotation."""
    (pod,) = (
        pod for pod in pod_templates(objects) if pod["metadata"]["labels"]["app.kubernetes.io/component"] == component
    )
    return str(pod["metadata"]["annotations"]["checksum/passwords"])


def api_key_mounts(objects: list[Manifest]) -> dict[str, list[Manifest]]:
    """Return the mounts of API keys, by the name of the workload."""
    workloads = of_kind(objects, "Deployment", "StatefulSet", "Job", "Pod")
    return {
        each["metadata"]["name"]: [
            mount
            for pod in pod_templates([each])
            for container in pod["spec"]["containers"]
            for mount in container.get("volumeMounts", [])
            if mount["name"] == "api-keys"
        ]
        for each in workloads
    }


@each_release
def test_lists_have_no_duplicate_keys(release: str) -> None:
    """Server-side apply rejects them."""
    for pod in pods(release):
        for container in containers(pod):
            assert_distinct(container.get("env", []), "name")
            assert_distinct(container.get("ports", []), "containerPort")
            assert_distinct(container.get("volumeMounts", []), "mountPath")
        assert_distinct(pod["spec"].get("volumes", []), "name")


def assert_distinct(items: list[Manifest], key: str) -> None:
    keys = [item[key] for item in items]
    assert len(keys) == len(set(keys)), keys


@each_release
def test_no_variable_of_a_container_overrides_the_config_map(release: str) -> None:
    objects = render(RELEASES[release])
    settings = one(objects, "ConfigMap", "orders")["data"]
    for pod in pod_templates(of_kind(objects, "Deployment", "StatefulSet")):
        for container in containers(pod):
            assert not settings.keys() & {variable["name"] for variable in container["env"]}


@each_release
def test_every_mount_has_a_volume(release: str) -> None:
    for pod in pods(release):
        volumes = {volume["name"] for volume in pod["spec"].get("volumes", [])}
        claims = (
            {"data"} if pod["metadata"]["labels"]["app.kubernetes.io/component"] in {"kafka", "postgresql"} else set()
        )
        for container in containers(pod):
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes | claims


def test_jobs_and_the_test_are_scheduled_like_the_consumer() -> None:
    scheduling = {
        "nodeSelector": {"pool": "orders"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"a": "b"}},
        "priorityClassName": "high",
    }
    settings = [f"consumer.{name}={json.dumps(value)}" for name, value in scheduling.items()]
    found = {
        pod["metadata"]["labels"]["app.kubernetes.io/component"]: {name: pod["spec"].get(name) for name in scheduling}
        for pod in pod_templates(parse(render_yaml(settings=tuple(RETENTION), json_settings=tuple(settings))))
    }
    assert found["migration"] == found["prune"] == found["test"] == found["consumer"] == scheduling
    assert found["api"] == dict.fromkeys(scheduling)


def test_the_default_requests_fit_on_a_small_node() -> None:
    requests = [total_request(pod) for pod in of_kind(render(), "Deployment", "StatefulSet")]
    assert sum(cpu for cpu, _ in requests) <= 1
    assert sum(memory for _, memory in requests) <= 1.5 * 2**30


def total_request(workload: Manifest) -> tuple[float, float]:
    requests = [container["resources"]["requests"] for container in workload["spec"]["template"]["spec"]["containers"]]
    pods = workload["spec"]["replicas"]
    return pods * sum(amount(each["cpu"]) for each in requests), pods * sum(amount(each["memory"]) for each in requests)


def amount(quantity: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(\D*)", str(quantity)).groups()  # type: ignore[union-attr]
    return float(number) * UNITS[unit]


def test_the_startup_probe_allows_the_warm_up_deadline_plus_30_seconds() -> None:
    for seconds in (60, 300):
        probe = main_container(render(settings=[f"cache.warmDeadline={seconds}"]), "api")["startupProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] == seconds + 30


@pytest.mark.parametrize("settings", [(), ("api.preStopSeconds=30", "api.drainSeconds=120")])
def test_the_termination_grace_period_of_the_api_exceeds_its_waits(settings: tuple[str, ...]) -> None:
    objects = render(settings=settings)
    pre_stop = main_container(objects, "api")["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = float(one(objects, "ConfigMap", "orders")["data"]["ORDERS_HTTP__DRAIN_TIMEOUT"])
    waits = (pre_stop, drain, CANCEL_TIMEOUT_SECONDS, pool.CLOSE_TIMEOUT_SECONDS, ADMIN_DRAIN_SECONDS)
    assert grace_period(objects, "api") >= sum(waits) + SHUTDOWN_MARGIN_SECONDS


def test_the_termination_grace_period_of_the_consumer_exceeds_its_waits() -> None:
    waits = (
        shutdown.DRAIN_TIMEOUT_SECONDS,
        shutdown.LAST_COMMIT_TIMEOUT_SECONDS,
        shutdown.WORKER_CLOSE_TIMEOUT_SECONDS,
        shutdown.LEAVE_TIMEOUT_SECONDS,
        FLUSH_TIMEOUT_SECONDS,
    )
    assert grace_period(render(), "consumer") >= sum(waits) + SHUTDOWN_MARGIN_SECONDS


def grace_period(objects: Sequence[Manifest], mode: str) -> float:
    return float(
        one(objects, "Deployment", f"orders-{mode}")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    )


@pytest.mark.parametrize("component", ["api", "consumer"])
def test_probes_and_ports_are_those_of_the_service(component: str) -> None:
    container = main_container(render(), component)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    defaults = Settings()
    assert ports["admin"] == defaults.admin.port
    assert ports.get("http", defaults.http.port) == defaults.http.port
    paths = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")}
    assert paths == {
        "startup": {"path": "/startupz", "port": "admin"},
        "readiness": {"path": "/readyz", "port": "admin"},
        "liveness": {"path": "/livez", "port": "admin"},
    }


def main_container(objects: list[Manifest], component: str) -> Manifest:
    pod = one(objects, "Deployment", f"orders-{component}")["spec"]["template"]["spec"]
    container: Manifest = pod["containers"][0]
    assert container["name"] == component
    return container


@pytest.mark.parametrize("release", sorted(set(RELEASES) - {"hook"}))
def test_the_service_accepts_every_setting_of_the_chart(release: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = one(render(RELEASES[release]), "ConfigMap", "orders")["data"]
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    loaded = Settings()
    for name, value in settings.items():
        if name.startswith("ORDERS_"):
            assert_loaded(loaded, name, value)


def assert_loaded(settings: Settings, name: str, value: str) -> None:
    group, field, *key = name.removeprefix("ORDERS_").lower().split("__")
    found = getattr(getattr(settings, group), field)
    for each in key:
        found = found[each]
    assert str(found).lower() == value.lower() or float(found) == parse_seconds(value), name


def test_a_digest_overrides_the_tag_which_defaults_to_the_app_version() -> None:
    digest = f"sha256:{'0' * 64}"
    assert main_container(render(), "api")["image"] == "orders:0.1.0"
    assert main_container(render(settings=["image.tag=v7"]), "api")["image"] == "orders:v7"
    objects = render(settings=["image.tag=v7", f"image.digest={digest}"])
    assert main_container(objects, "api")["image"] == f"orders@{digest}"


def test_every_pod_uses_the_account_of_the_release_if_it_exists() -> None:
    assert accounts(render()) == {"orders"}
    assert accounts(render(RELEASES["hook"])) == {"orders", None}
    existing = ["serviceAccount.create=false", "serviceAccount.name=existing"]
    assert accounts(render(RELEASES["hook"], settings=existing)) == {"existing"}


def accounts(objects: list[Manifest]) -> set[str | None]:
    return {pod["spec"].get("serviceAccountName") for pod in pod_templates(objects)}


@each_release
def test_a_release_has_no_rbac_permissions(release: str) -> None:
    objects = render(RELEASES[release])
    assert of_kind(objects, "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding") == []
    accounts = {each["metadata"]["name"] for each in of_kind(objects, "ServiceAccount")}
    assert all(each["automountServiceAccountToken"] is False for each in of_kind(objects, "ServiceAccount"))
    assert {pod["spec"].get("serviceAccountName", "default") for pod in pods(release)} <= accounts | {"default"}

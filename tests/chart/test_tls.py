"""TLS and SASL set by values: every container of Orders has the settings, passwords and files."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import pytest

from service.config import Settings
from tests.chart.helm import Manifest, containers, of_kind, one, pod_templates, render
from tests.chart.test_pods import RELEASES

PROPERTIES = "ORDERS_KAFKA__PROPERTIES"
FILES = {
    f"{PROPERTIES}__ssl.ca.location": "/etc/orders/kafka/root.pem",
    f"{PROPERTIES}__ssl.certificate.location": "/etc/orders/kafka-client/tls.crt",
    f"{PROPERTIES}__ssl.key.location": "/etc/orders/kafka-client/tls.key",
    "PGSSLROOTCERT": "/etc/orders/postgresql/ca.crt",
    "PGSSLCERT": "/etc/orders/postgresql-client/tls.crt",
    "PGSSLKEY": "/etc/orders/postgresql-client/tls.key",
    "ORDERS_KAFKA__PASSWORD_FILE": "/etc/orders/kafka-login/secret",
}
PASSWORD_FILE = "ORDERS_POSTGRES__PASSWORD_FILE"  # noqa: S105 - the name of a setting
LOGIN = {"PGUSER": {"name": "login", "key": "username"}}
"""References of every container except the test of the release."""
SECRETS = {PROPERTIES: {"name": "kafka-properties", "key": "properties"}}
EXTERNAL = ("kafka.enabled=false", "kafka.bootstrapServers=a:9093")


@pytest.fixture(scope="module")
def objects() -> list[Manifest]:
    return render(RELEASES["tls"])


def containers_with_variables(objects: list[Manifest]) -> Iterator[tuple[Manifest, Manifest, dict[str, Any]]]:
    """Yield each pod and container with the container's variables, those of the ConfigMap included."""
    shared = one(objects, "ConfigMap", "orders")["data"]
    for pod in pod_templates(objects):
        for container in containers(pod):
            own = {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}
            yield pod, container, (shared if "envFrom" in container else {}) | own


def test_every_container_has_the_settings_and_the_passwords(objects: list[Manifest]) -> None:
    names = []
    for _, container, variables in containers_with_variables(objects):
        names.append(container["name"])
        assert variables["PGSSLMODE"] == "verify-full"
        assert variables[f"{PROPERTIES}__security.protocol"] == "SASL_SSL"
        assert variables[f"{PROPERTIES}__sasl.mechanism"] == "SCRAM-SHA-512"
        assert variables[f"{PROPERTIES}__sasl.username"] == "shop"
        assert {name: variables[name] for name in FILES} == FILES
        secrets = {name: each["secretKeyRef"] for name, each in variables.items() if "secretKeyRef" in each}
        has_login = container["name"] != "smoke"
        assert secrets == SECRETS | (LOGIN if has_login else {})
        assert variables.get(PASSWORD_FILE) == ("/etc/orders/postgresql-login/password" if has_login else None)
    assert sorted(names) == ["api", "consumer", "migrate", "smoke", "wait-for-migrations", "wait-for-migrations"]


def test_every_file_in_the_settings_is_mounted_from_its_secret(objects: list[Manifest]) -> None:
    for pod, container, variables in containers_with_variables(objects):
        folders = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
        volumes = {each["name"]: each.get("secret") for each in pod["spec"]["volumes"]}
        for name in {*FILES, PASSWORD_FILE} & variables.keys():
            path = PurePosixPath(variables[name])
            assert path.name in {item["path"] for item in volumes[folders[str(path.parent)]]["items"]}


def test_only_the_needed_keys_are_mounted(objects: list[Manifest]) -> None:
    for pod in pod_templates(objects):
        secrets = [each["secret"] for each in pod["spec"]["volumes"] if "secret" in each]
        login = {"login": ["password"]} if "smoke" not in {each["name"] for each in containers(pod)} else {}
        assert {each["secretName"]: [item["key"] for item in each["items"]] for each in secrets} == login | {
            "kafka-authority": ["root.pem"],
            "kafka-client": ["tls.crt", "tls.key"],
            "kafka-user": ["secret"],
            "postgresql-authority": ["ca.crt"],
            "postgresql-client": ["tls.crt", "tls.key"],
        }


def test_only_the_group_can_read_a_private_key(objects: list[Manifest]) -> None:
    for pod in pod_templates(objects):
        for secret in (each["secret"] for each in pod["spec"]["volumes"] if "secret" in each):
            has_key = "tls.key" in {item["key"] for item in secret["items"]}
            assert secret["defaultMode"] == 0o440 or not has_key


def test_the_service_merges_values_over_the_properties_of_the_secret(
    objects: list[Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in one(objects, "ConfigMap", "orders")["data"].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(PROPERTIES, '{"socket.keepalive.enable": true, "sasl.username": "other"}')
    assert Settings().kafka.properties == {
        "socket.keepalive.enable": True,
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "shop",
        **{name.partition("PROPERTIES__")[2]: path for name, path in FILES.items() if name.startswith(PROPERTIES)},
    }


def test_no_config_map_contains_a_password(objects: list[Manifest]) -> None:
    names = {name for each in of_kind(objects, "ConfigMap") for name in each["data"]}
    assert f"{PROPERTIES}__security.protocol" in names
    assert not {name for name in names if "password" in name.lower()}


def test_without_tls_values_there_are_no_tls_settings_or_files() -> None:
    for pod, container, variables in containers_with_variables(
        [each for each in render() if each["kind"] != "StatefulSet"]
    ):
        assert not {name for name in variables if name.startswith((PROPERTIES, "PGSSL"))}
        assert {each["name"] for each in container["volumeMounts"]} <= {"tmp", "postgresql-login"}
        assert {each["name"] for each in pod["spec"]["volumes"]} <= {"tmp", "postgresql-login"}


def test_a_client_certificate_does_not_require_sasl() -> None:
    settings = (*EXTERNAL, "kafka.securityProtocol=SSL", "kafka.tls.clientSecret=client")
    data = one(render(settings=settings), "ConfigMap", "orders")["data"]
    assert data[f"{PROPERTIES}__security.protocol"] == "SSL"
    assert f"{PROPERTIES}__ssl.ca.location" not in data


def test_the_protocol_may_come_from_the_secret_of_properties() -> None:
    settings = (*EXTERNAL, "kafka.existingSecret=a", "kafka.tls.caSecret=b", "kafka.sasl.passwordSecret=c")
    assert f"{PROPERTIES}__security.protocol" not in one(render(settings=settings), "ConfigMap", "orders")["data"]


def test_a_function_may_return_the_passwords() -> None:
    settings = (
        *EXTERNAL,
        "kafka.securityProtocol=SASL_SSL",
        "kafka.sasl.mechanism=OAUTHBEARER",
        "settings.ORDERS_KAFKA__TOKEN_CALLBACK=tokens:msk",
        "settings.ORDERS_POSTGRES__TOKEN_CALLBACK=tokens:rds",
    )
    objects = [each for each in render(settings=settings) if each["kind"] != "StatefulSet"]
    for pod, _, variables in containers_with_variables(objects):
        assert PASSWORD_FILE not in variables
        assert "ORDERS_POSTGRES__TOKEN_CALLBACK" in variables
        assert [each["name"] for each in pod["spec"]["volumes"]] == ["tmp"]

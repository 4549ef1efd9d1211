"""Values with secrets outside of Kubernetes Secrets are rejected."""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from service import config
from service.config import redaction
from tests.chart.helm import CHART, KUBERNETES, render_yaml

SECRET: Final = "Zq7-hush"  # noqa: S105
PROPERTIES: Final = "ORDERS_KAFKA__PROPERTIES"
DSN: Final = "ORDERS_POSTGRES__DSN"
SECRET_PROPERTIES: Final = (
    "sasl.password",
    "SASL.PASSWORD",
    "sasl.jaas.config",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.client.credentials.client.secret",
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "sasl.oauthbearer.assertion.private.key.pem",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.password",
)
PLAIN_PROPERTIES: Final = (
    "sasl.username",
    "sasl.mechanism",
    "sasl.kerberos.keytab",
    "sasl.oauthbearer.token.endpoint.url",
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.credentials.client.id",
    "sasl.oauthbearer.assertion.private.key.file",
    "sasl.oauthbearer.scope",
    "sasl.oauthbearer.extensions",
    "ssl.ca.pem",
    "ssl.ca.location",
    "ssl.certificate.pem",
    "ssl.key.location",
    "ssl.keystore.location",
)
LOGIN: Final = "postgresql.existingSecret, or existingWriteSecret and existingReadSecret"
VARIABLES: Final = (
    (DSN, f"postgresql://u:{SECRET}@db/orders", LOGIN),
    (DSN, f"postgresql://u:{SECRET}/with#all?of@db/orders", LOGIN),
    (DSN, f"postgres://:{SECRET}@db", LOGIN),
    (DSN, f"postgresql://db/orders?sslmode=require&password={SECRET}", LOGIN),
    (DSN, f"host=db password={SECRET} dbname=orders", LOGIN),
    (DSN, f"host=db password = '{SECRET}'", LOGIN),
    (DSN, f"host=db sslpassword={SECRET}", LOGIN),
    ("ORDERS_POSTGRES__LISTEN_DSN", f"postgresql://u:{SECRET}@db/orders", LOGIN),
    ("PGPASSWORD", SECRET, LOGIN),
    (f"{PROPERTIES}__sasl.password", SECRET, "kafka.sasl.passwordSecret"),
    (f"{PROPERTIES}__ssl.key.pem", SECRET, "kafka.existingSecret"),
    (f"{PROPERTIES}__ssl.certificate.pem", f"-----BEGIN EC PRIVATE KEY-----\n{SECRET}", "kafka.existingSecret"),
    (PROPERTIES, json.dumps({"sasl.username": "me", "sasl.password": SECRET}), "kafka.existingSecret"),
    (PROPERTIES, json.dumps({"ssl.ca.location": "/a", "ssl.key.password": SECRET}), "kafka.existingSecret"),
    ("ORDERS_KAFKA__BOOTSTRAP_SERVERS", f"SASL_SSL://u:{SECRET}@a:9092", "kafka.existingSecret"),
    ("OTEL_EXPORTER_OTLP_HEADERS", f"authorization=Bearer {SECRET}", "extraEnv, with valueFrom"),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", f"x={SECRET}", "extraEnv, with valueFrom"),
    ("HTTPS_PROXY", f"http://u:{SECRET}@proxy:3128", "extraEnv, with valueFrom"),
    ("AWS_SECRET_ACCESS_KEY", SECRET, "extraEnv, with valueFrom"),
)
OTHER_VALUES: Final[tuple[tuple[dict[str, Any], str], ...]] = (
    ({"postgresql": {"database": f"orders?password={SECRET}"}}, LOGIN),
    ({"kafka": {"bootstrapServers": f"sasl://u:{SECRET}@a:9092"}}, "kafka.existingSecret"),
    ({"kafka": {"heapOptions": f"-Djavax.net.ssl.keyStorePassword={SECRET}"}}, "kafka.existingSecret"),
    ({"api": {"podAnnotations": {"a": f"redis://u:{SECRET}@cache"}}}, "extraEnv, with valueFrom"),
    ({"extraVolumes": [{"name": "a", "csi": {"volumeAttributes": {"o": f"password={SECRET}"}}}]}, "extraEnv, with"),
)
PLAIN_VARIABLES: Final = {
    DSN: "postgresql://orders@db:5432/orders?sslmode=verify-full&passfile=/a",
    "ORDERS_POSTGRES__LISTEN_DSN": "host=db port=5432 user=orders dbname=orders sslkey=/etc/key",
    PROPERTIES: json.dumps(dict.fromkeys(PLAIN_PROPERTIES, "a")),
    "ORDERS_KAFKA__BOOTSTRAP_SERVERS": "SASL_SSL://a:9093,SASL_SSL://secret:9093",
    "ORDERS_SECRETS_DIR": "/etc/secrets",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/token",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector:4317/@a",
    "NO_PASSWORD": "",
}
REFERENCES: Final = {
    "ORDERS_A_DSN": "postgresql://me:$(DB_PASSWORD)@pooler/orders",
    "B_DSN": "host=pooler password=$(DB_PASSWORD) user=me",
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer $(TOKEN)",
    PROPERTIES: '{"sasl.password": "$(DB_PASSWORD)"}',
}


def rejection(values: dict[str, Any], folder: Path) -> str:
    """Return the line of the chart's error, after checking that it does not contain the secret."""
    file = folder / "values.json"
    file.write_text(json.dumps(values), encoding="utf-8")
    command = ["helm", "template", "orders", str(CHART), f"--kube-version={KUBERNETES}", f"--values={file}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    assert SECRET not in done.stdout
    assert done.returncode
    assert SECRET not in done.stderr
    (line,) = (line for line in done.stderr.splitlines() if "contains a secret" in line)
    return line


@pytest.mark.parametrize(("name", "value", "place"), VARIABLES)
def test_a_setting_with_a_secret_is_rejected_and_names_the_value_to_use(
    name: str, value: str, place: str, tmp_path: Path
) -> None:
    line = rejection({"settings": {name: value}}, tmp_path)
    assert f"settings: {name} contains a secret" in line
    assert place in line


@pytest.mark.parametrize(("name", "value", "place"), VARIABLES[::3])
def test_a_variable_with_a_secret_is_rejected(name: str, value: str, place: str, tmp_path: Path) -> None:
    line = rejection({"extraEnv": [{"name": "A", "value": "b"}, {"name": name, "value": value}]}, tmp_path)
    assert f"extraEnv: {name} contains a secret" in line
    assert place in line


@pytest.mark.parametrize(("values", "place"), OTHER_VALUES)
def test_any_other_value_with_a_secret_is_rejected(values: dict[str, Any], place: str, tmp_path: Path) -> None:
    assert place in rejection(values, tmp_path)


def test_values_that_only_resemble_secrets_are_accepted(tmp_path: Path) -> None:
    template = "postgresql://{{ .Data.username }}:{{ .Data.password }}@db"
    values = {
        "settings": PLAIN_VARIABLES | {f"{PROPERTIES}__{name}": "a" for name in PLAIN_PROPERTIES},
        "extraEnv": [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}],
        "api": {"podAnnotations": {"vault": template, "max-tokens": "token=5", "link": "https://a:8443/@me/b"}},
    }
    file = tmp_path / "values.json"
    file.write_text(json.dumps(values), encoding="utf-8")
    assert render_yaml((file,))


def test_references_to_variables_are_accepted(tmp_path: Path) -> None:
    values = {"extraEnv": [{"name": name, "value": value} for name, value in REFERENCES.items()]}
    file = tmp_path / "values.json"
    file.write_text(json.dumps(values), encoding="utf-8")
    assert render_yaml((file,))


def test_the_chart_detects_secrets_by_the_patterns_that_the_service_redacts() -> None:
    validation = (CHART / "templates" / "_validation.tpl").read_text(encoding="utf-8")
    for pattern in (redaction.SECRET_NAME, redaction.PLAIN_NAME):
        assert f"`{pattern.pattern}`" in validation


@pytest.mark.parametrize("name", [*SECRET_PROPERTIES, *PLAIN_PROPERTIES])
def test_the_service_redacts_exactly_the_secret_properties(name: str) -> None:
    shown = redaction.redacted(config.load(kafka={"properties": {name: SECRET}}))["kafka"]["properties"][name]
    assert (shown == redaction.REDACTED) is (name in SECRET_PROPERTIES)

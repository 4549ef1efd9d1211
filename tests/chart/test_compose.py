"""compose.yaml is valid, and agrees with the chart and the Makefile."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.chart.helm import CHART, ROOT, Manifest, one, render
from tests.chart.schemas import module

SPECIFICATION: Final = "github.com/compose-spec/compose-go/v2@v2.16.2"
CONFIGURATION: Final = ROOT / "local" / "compose"
PROMETHEUS: Final = CONFIGURATION / "prometheus" / "prometheus.yml"
ALERTS: Final = CONFIGURATION / "prometheus" / "alerts.yml"
LOOPBACK: Final = "127.0.0.1"
LOCATION_SETTINGS: Final = re.compile(r"LISTENER|LOG_DIRS|CLUSTER_ID")
"""Kafka's settings that differ between Compose and the chart."""
PAGE: Final = "service/handler/http/static/page/index.html"


def read(file: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(file.read_text(encoding="utf-8")))


COMPOSE: Final = read(ROOT / "compose.yaml")
SERVICES: Final[dict[str, Manifest]] = COMPOSE["services"]
VALUES: Final = read(CHART / "values.yaml")
JOBS: Final[list[Manifest]] = read(PROMETHEUS)["scrape_configs"]

each_service = pytest.mark.parametrize("name", SERVICES)


@pytest.fixture(scope="module")
def specification() -> Draft202012Validator:
    if not shutil.which("go"):
        pytest.skip("go not found on PATH")
    schema = module(SPECIFICATION) / "schema" / "compose-spec.json"
    return Draft202012Validator(json.loads(schema.read_text(encoding="utf-8")))


def ports(name: str) -> Iterator[tuple[str, str]]:
    """Yield the port of the host and the port of the container. Raises ValueError if no address is given."""
    for published in SERVICES[name]["ports"]:
        address, host_port, container_port = published.split(":")
        assert address == LOOPBACK
        yield host_port, container_port


def mounts(name: str) -> Iterator[tuple[str, str]]:
    """Yield source and target of each mount."""
    for mount in SERVICES[name].get("volumes", []):
        source, target, *_ = mount.split(":")
        yield source, target


def without_location(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not LOCATION_SETTINGS.search(name)}


def settings(target: str, folder: Path, *given: str, **variables: str) -> dict[str, str]:
    """Return the `ORDERS_` variables that `make TARGET` passes to `orders`, replaced by a script that prints them."""
    (folder / "orders").write_text("#!/bin/sh\nenv\n")
    (folder / "orders").chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORDERS_", "MAKE"))}
    command = ["make", "--no-print-directory", "-o", ".venv/.installed", "-o", PAGE, target, f"BIN={folder}", *given]
    done = subprocess.run(  # noqa: S603
        command, cwd=ROOT, env=environment | variables, capture_output=True, text=True, check=True, timeout=60
    )
    printed = (line.partition("=") for line in done.stdout.splitlines())
    return {name: value for name, _, value in printed if name.startswith("ORDERS_")}


# compose.yaml


def test_compose_yaml_matches_the_specification(specification: Draft202012Validator) -> None:
    assert [error.message for error in specification.iter_errors(COMPOSE)] == []


def test_a_misspelled_key_is_an_error(specification: Draft202012Validator) -> None:
    changed = deepcopy(COMPOSE)
    changed["services"]["kafka"]["port"] = []
    assert not specification.is_valid(changed)


@each_service
def test_each_image_has_a_version(name: str) -> None:
    assert re.fullmatch(r"[a-z/-]+:v?\d+(\.\d+)*", SERVICES[name]["image"])


@pytest.mark.parametrize("name", ["kafka", "postgresql"])
def test_images_of_servers_are_those_of_the_chart(name: str) -> None:
    image = VALUES[name]["image"]
    assert SERVICES[name]["image"] == f"{image['repository']}:{image['tag']}"


def test_the_image_of_kafka_ui_is_that_of_its_manifest() -> None:
    (container,) = read(ROOT / "k8s" / "kafka-ui.yaml")["spec"]["template"]["spec"]["containers"]
    assert SERVICES["kafka-ui"]["image"] == container["image"]


@each_service
def test_ports_are_published_on_the_loopback_address_only(name: str) -> None:
    assert list(ports(name))
    assert "network_mode" not in SERVICES[name]


def test_every_port_is_published_once() -> None:
    published = [port for name in SERVICES for port, _ in ports(name)]
    assert len(published) == len(set(published))


@each_service
def test_each_service_has_a_health_check_of_its_port(name: str) -> None:
    kind, *command = SERVICES[name]["healthcheck"]["test"]
    checked = {port for _, port in ports(name) if port in " ".join(command)}
    assert kind == "CMD"
    assert checked or command[0] == "pg_isready"  # uses PostgreSQL's default port


def test_mounted_folders_exist_and_volumes_are_declared() -> None:
    sources = {source for name in SERVICES for source, _ in mounts(name)}
    files = {source for source in sources if source.startswith("./")}
    assert [source for source in files if not (ROOT / source).is_dir()] == []
    assert sources - files == COMPOSE["volumes"].keys()


# Kafka and PostgreSQL


def test_kafka_has_the_settings_of_the_chart() -> None:
    (container,) = one(render(), "StatefulSet", "orders-kafka")["spec"]["template"]["spec"]["containers"]
    expected = {each["name"]: each["value"] for each in container["env"]}
    assert without_location(SERVICES["kafka"]["environment"]) == without_location(expected)


def test_kafka_advertises_its_published_address() -> None:
    advertised = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    listeners = dict(each.split("://") for each in advertised.split(","))
    ((host_port, container_port),) = ports("kafka")
    assert listeners["HOST"] == f"{LOOPBACK}:{host_port}"
    assert f"HOST://:{container_port}," in SERVICES["kafka"]["environment"]["KAFKA_LISTENERS"]
    assert SERVICES["kafka-ui"]["environment"]["KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS"] == listeners["INSIDE"]


@pytest.mark.parametrize("target", ["migrate", "run-consumer", "run-api"])
def test_make_targets_use_these_servers(target: str, tmp_path: Path) -> None:
    ((kafka, _),) = ports("kafka")
    ((postgresql, _),) = ports("postgresql")
    login = SERVICES["postgresql"]["environment"]
    user, password, database = (login[f"POSTGRES_{name}"] for name in ("USER", "PASSWORD", "DB"))
    found = settings(target, tmp_path)
    assert found["ORDERS_KAFKA__BOOTSTRAP_SERVERS"] == f"{LOOPBACK}:{kafka}"
    assert found["ORDERS_POSTGRES__DSN"] == f"postgresql://{user}:{password}@{LOOPBACK}:{postgresql}/{database}"
    assert found["ORDERS_LOG__FORMAT"] == "text"


def test_make_run_api_listens_on_the_loopback_address_only(tmp_path: Path) -> None:
    assert settings("run-api", tmp_path)["ORDERS_HTTP__HOST"] == LOOPBACK


def test_settings_of_the_user_override_those_of_make(tmp_path: Path) -> None:
    found = settings("run-api", tmp_path, "ORDERS_LOG__FORMAT=json", ORDERS_POSTGRES__DSN="postgresql://elsewhere")
    assert (found["ORDERS_LOG__FORMAT"], found["ORDERS_POSTGRES__DSN"]) == ("json", "postgresql://elsewhere")


# Prometheus and Grafana


def test_promtool_accepts_the_configuration_and_rules() -> None:
    if not (promtool := shutil.which("promtool")):
        pytest.skip("promtool not found on PATH")
    command = [promtool, "check", "config", "--lint-fatal", str(PROMETHEUS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_is_mounted_at_prometheuss_default_path() -> None:
    assert (f"./{PROMETHEUS.parent.relative_to(ROOT)}", "/etc/prometheus") in mounts("prometheus")


@pytest.mark.parametrize("mode", ["consumer", "api"])
def test_prometheus_scrapes_the_processes_that_make_starts(mode: str, tmp_path: Path) -> None:
    (job,) = (each for each in JOBS if each["job_name"] == f"orders-{mode}-metrics")
    (scraped,) = job["static_configs"]
    found = settings(f"run-{mode}", tmp_path)
    assert scraped["targets"] == [f"host.docker.internal:{found['ORDERS_ADMIN__PORT']}"]
    assert "ORDERS_ADMIN__HOST" not in found  # the default lets containers connect
    assert "host.docker.internal:host-gateway" in SERVICES["prometheus"]["extra_hosts"]


def test_the_alerts_match_the_scraped_jobs() -> None:
    text = ALERTS.read_text(encoding="utf-8")
    names = {job["job_name"] for job in JOBS}
    labels = [static["labels"] for job in JOBS for static in job["static_configs"]]
    patterns = re.findall(r'\bjob=~?"([^"]+)"', text)
    assert {name for pattern in patterns for name in names if re.fullmatch(pattern, name)} == names
    assert [pattern for pattern in patterns if not any(re.fullmatch(pattern, name) for name in names)] == []
    assert {*re.findall(r'\bnamespace="([^"]+)"', text)} == {each["namespace"] for each in labels}
    assert all("pod" in each for each in labels)


def test_grafanas_home_is_the_charts_dashboard() -> None:
    (provider,) = read(CONFIGURATION / "grafana" / "dashboards" / "orders.yaml")["providers"]
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    mounted = {target: ROOT / source for source, target in mounts("grafana")}
    assert mounted["/etc/grafana/provisioning"] == CONFIGURATION / "grafana"
    assert mounted[provider["options"]["path"]] == CHART / "files"
    assert (mounted[str(home.parent)] / home.name).is_file()


def test_the_dashboards_data_source_is_provisioned() -> None:
    (source,) = read(CONFIGURATION / "grafana" / "datasources" / "prometheus.yaml")["datasources"]
    variables = json.loads((CHART / "files" / "dashboard.json").read_text(encoding="utf-8"))["templating"]["list"]
    (choice,) = (each for each in variables if each["name"] == "datasource")
    ((_, port),) = ports("prometheus")
    assert (choice["type"], choice["query"]) == ("datasource", source["type"])
    assert source["isDefault"]
    assert source["url"] == f"http://prometheus:{port}"


def test_grafanas_interval_is_prometheuss_scrape_interval() -> None:
    (source,) = read(CONFIGURATION / "grafana" / "datasources" / "prometheus.yaml")["datasources"]
    assert source["jsonData"]["timeInterval"] == read(PROMETHEUS)["global"]["scrape_interval"]

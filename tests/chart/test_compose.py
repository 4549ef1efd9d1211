"""compose.yaml: against its specification, and against what of the chart and the Makefile it has to fit."""

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

from tests.chart.rendered import CHART, ROOT, Manifest, one, render, rendered
from tests.chart.schemas import module

SPECIFICATION: Final = "github.com/compose-spec/compose-go/v2@v2.16.2"
PARTS: Final = ROOT / ".ci" / "compose"
PROMETHEUS: Final = PARTS / "prometheus" / "prometheus.yml"
ALERTS: Final = PARTS / "prometheus" / "alerts.yml"
ON_THIS_MACHINE: Final = "127.0.0.1"
OF_ITS_OWN: Final = re.compile(r"LISTENER|LOG_DIRS|CLUSTER_ID")
"""Settings of Kafka that follow from where it runs."""
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
        pytest.skip("there is no go on the path")
    schema = module(SPECIFICATION) / "schema" / "compose-spec.json"
    return Draft202012Validator(json.loads(schema.read_text(encoding="utf-8")))


def ports(name: str) -> Iterator[tuple[str, str]]:
    """Yield port of the host and port of the container; ValueError where no address is named."""
    for published in SERVICES[name]["ports"]:
        address, outside, inside = published.split(":")
        assert address == ON_THIS_MACHINE
        yield outside, inside


def mounts(name: str) -> Iterator[tuple[str, str]]:
    """Yield what is mounted, and where."""
    for mount in SERVICES[name].get("volumes", []):
        source, target, *_ = mount.split(":")
        yield source, target


def elsewhere_too(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not OF_ITS_OWN.search(name)}


def settings(target: str, folder: Path, *given: str, **variables: str) -> dict[str, str]:
    """Return the settings with which `make TARGET` runs `orders`, in whose place is what prints them."""
    (folder / "orders").write_text("#!/bin/sh\nenv\n")
    (folder / "orders").chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORDERS_", "MAKE"))}
    command = ["make", "--no-print-directory", "-o", ".venv/.installed", "-o", PAGE, target, f"BIN={folder}", *given]
    done = subprocess.run(  # noqa: S603
        command, cwd=ROOT, env=environment | variables, capture_output=True, text=True, check=True, timeout=60
    )
    told = (line.partition("=") for line in done.stdout.splitlines())
    return {name: value for name, _, value in told if name.startswith("ORDERS_")}


# The file


def test_it_is_what_the_specification_knows(specification: Draft202012Validator) -> None:
    assert [error.message for error in specification.iter_errors(COMPOSE)] == []


def test_a_misspelt_key_is_noticed(specification: Draft202012Validator) -> None:
    changed = deepcopy(COMPOSE)
    changed["services"]["kafka"]["port"] = []
    assert not specification.is_valid(changed)


@each_service
def test_an_image_has_its_version(name: str) -> None:
    assert re.fullmatch(r"[a-z/-]+:v?\d+(\.\d+)*", SERVICES[name]["image"])


@pytest.mark.parametrize("name", ["kafka", "postgresql"])
def test_servers_are_those_of_the_chart(name: str) -> None:
    image = VALUES[name]["image"]
    assert SERVICES[name]["image"] == f"{image['repository']}:{image['tag']}"


def test_kafka_ui_is_that_of_the_cluster() -> None:
    (container,) = read(ROOT / "k8s" / "kafka-ui.yaml")["spec"]["template"]["spec"]["containers"]
    assert SERVICES["kafka-ui"]["image"] == container["image"]


@each_service
def test_no_other_machine_reaches_it(name: str) -> None:
    assert list(ports(name))
    assert "network_mode" not in SERVICES[name]


def test_every_port_is_published_once() -> None:
    outside = [port for name in SERVICES for port, _ in ports(name)]
    assert len(outside) == len(set(outside))


@each_service
def test_it_says_when_it_is_healthy(name: str) -> None:
    how, *command = SERVICES[name]["healthcheck"]["test"]
    asked = {inside for _, inside in ports(name) if inside in " ".join(command)}
    assert how == "CMD"
    assert asked or command[0] == "pg_isready"  # which knows its port


def test_what_is_mounted_is_there_and_what_must_last_is_kept() -> None:
    sources = {source for name in SERVICES for source, _ in mounts(name)}
    files = {source for source in sources if source.startswith("./")}
    assert [source for source in files if not (ROOT / source).is_dir()] == []
    assert sources - files == COMPOSE["volumes"].keys()


# Kafka and PostgreSQL


def test_kafka_is_set_as_the_chart_sets_it() -> None:
    (container,) = one(render(), "StatefulSet", "orders-kafka")["spec"]["template"]["spec"]["containers"]
    theirs = {each["name"]: each["value"] for each in container["env"]}
    assert elsewhere_too(SERVICES["kafka"]["environment"]) == elsewhere_too(theirs)


def test_kafka_sends_its_clients_to_where_it_is() -> None:
    told = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    listeners = dict(each.split("://") for each in told.split(","))
    ((outside, inside),) = ports("kafka")
    assert listeners["HOST"] == f"{ON_THIS_MACHINE}:{outside}"
    assert f"HOST://:{inside}," in SERVICES["kafka"]["environment"]["KAFKA_LISTENERS"]
    assert SERVICES["kafka-ui"]["environment"]["KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS"] == listeners["INSIDE"]


@pytest.mark.parametrize("target", ["migrate", "run-consumer", "run-api"])
def test_make_runs_on_these_servers(target: str, tmp_path: Path) -> None:
    ((kafka, _),) = ports("kafka")
    ((postgresql, _),) = ports("postgresql")
    login = SERVICES["postgresql"]["environment"]
    user, password, database = (login[f"POSTGRES_{name}"] for name in ("USER", "PASSWORD", "DB"))
    found = settings(target, tmp_path)
    assert found["ORDERS_KAFKA__BOOTSTRAP_SERVERS"] == f"{ON_THIS_MACHINE}:{kafka}"
    assert found["ORDERS_POSTGRES__DSN"] == f"postgresql://{user}:{password}@{ON_THIS_MACHINE}:{postgresql}/{database}"
    assert found["ORDERS_LOG__FORMAT"] == "text"


def test_no_other_machine_reaches_the_orders_of_the_api(tmp_path: Path) -> None:
    assert settings("run-api", tmp_path)["ORDERS_HTTP__HOST"] == ON_THIS_MACHINE


def test_settings_of_ones_own_win_over_those_of_make(tmp_path: Path) -> None:
    found = settings("run-api", tmp_path, "ORDERS_LOG__FORMAT=json", ORDERS_POSTGRES__DSN="postgresql://elsewhere")
    assert (found["ORDERS_LOG__FORMAT"], found["ORDERS_POSTGRES__DSN"]) == ("json", "postgresql://elsewhere")


# Prometheus and Grafana


def test_prometheus_takes_its_configuration_and_rules() -> None:
    if not (promtool := shutil.which("promtool")):
        pytest.skip("there is no promtool on the path")
    command = [promtool, "check", "config", "--lint-fatal", str(PROMETHEUS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_folder_of_its_configuration_is_where_its_image_looks() -> None:
    assert (f"./{PROMETHEUS.parent.relative_to(ROOT)}", "/etc/prometheus") in mounts("prometheus")


@pytest.mark.parametrize("mode", ["consumer", "api"])
def test_it_scrapes_what_make_runs(mode: str, tmp_path: Path) -> None:
    (job,) = (each for each in JOBS if each["job_name"] == f"orders-{mode}-metrics")
    (scraped,) = job["static_configs"]
    found = settings(f"run-{mode}", tmp_path)
    assert scraped["targets"] == [f"host.docker.internal:{found['ORDERS_ADMIN__PORT']}"]
    assert "ORDERS_ADMIN__HOST" not in found  # a container comes from outside
    assert "host.docker.internal:host-gateway" in SERVICES["prometheus"]["extra_hosts"]


def test_its_alerts_are_those_of_the_chart() -> None:
    """Where they are not, `make alerts` writes them anew."""
    on = ("metrics.prometheusRule.enabled=true", "metrics.serviceMonitor.enabled=true", "migrations.mode=none")
    manifests = rendered(settings=on).replace('namespace="shop"', 'namespace="local"')
    rule = one([each for each in yaml.load_all(manifests, yaml.CSafeLoader) if each], "PrometheusRule")
    assert read(ALERTS) == rule["spec"]


def test_its_alerts_look_at_what_it_scrapes() -> None:
    text = ALERTS.read_text(encoding="utf-8")
    names = {job["job_name"] for job in JOBS}
    labels = [static["labels"] for job in JOBS for static in job["static_configs"]]
    patterns = re.findall(r'\bjob=~?"([^"]+)"', text)
    assert {name for pattern in patterns for name in names if re.fullmatch(pattern, name)} == names
    assert [pattern for pattern in patterns if not any(re.fullmatch(pattern, name) for name in names)] == []
    assert {*re.findall(r'\bnamespace="([^"]+)"', text)} == {each["namespace"] for each in labels}
    assert all("pod" in each for each in labels)


def test_grafana_shows_the_charts_dashboard() -> None:
    (provider,) = read(PARTS / "grafana" / "dashboards" / "orders.yaml")["providers"]
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    mounted = {target: ROOT / source for source, target in mounts("grafana")}
    assert mounted["/etc/grafana/provisioning"] == PARTS / "grafana"
    assert mounted[provider["options"]["path"]] == CHART / "files"
    assert (mounted[str(home.parent)] / home.name).is_file()


def test_the_dashboard_finds_its_data_source_by_itself() -> None:
    (source,) = read(PARTS / "grafana" / "datasources" / "prometheus.yaml")["datasources"]
    variables = json.loads((CHART / "files" / "dashboard.json").read_text(encoding="utf-8"))["templating"]["list"]
    (choice,) = (each for each in variables if each["name"] == "datasource")
    ((_, port),) = ports("prometheus")
    assert (choice["type"], choice["query"]) == ("datasource", source["type"])
    assert source["isDefault"]
    assert source["url"] == f"http://prometheus:{port}"


def test_rates_are_taken_over_some_scrapes() -> None:
    (source,) = read(PARTS / "grafana" / "datasources" / "prometheus.yaml")["datasources"]
    assert source["jsonData"]["timeInterval"] == read(PROMETHEUS)["global"]["scrape_interval"]

"""Prometheus as the operator configures it from the ServiceMonitors and rules of a release."""

import base64
import gzip
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.process import Process
from tests.cluster.loader import Loader
from tests.cluster.release import ROOT, Release
from tests.cluster.test_faults import stored
from tests.kit.factories import order_document
from tests.kit.waiting import eventually
from tests.prometheus.panels import assert_panels_have_data
from tests.prometheus.server import Prometheus, configured

RATE = 100
SECONDS = 300
"""How long orders are generated: longer than all panels and alerts take."""
VALUES = str(ROOT / "k8s" / "values" / "kube-prometheus-stack.yaml")
SELECTOR = {"matchLabels": {"release": "kube-prometheus-stack"}}
DISCOVERY = shutil.which("prometheus-discovery")
WATCHER = {
    "apiVersion": "monitoring.coreos.com/v1",
    "kind": "Prometheus",
    "metadata": {"name": "watcher"},
    "spec": {
        "replicas": 0,  # Prometheus runs on this machine, so the cluster needs no image
        "version": "v2.42.0",
        "evaluationInterval": "1s",
        "serviceMonitorSelector": SELECTOR,
        "ruleSelector": SELECTOR,
    },
}
SHORT_INTERVALS = (
    "metrics.serviceMonitor.interval=1s",
    "metrics.serviceMonitor.scrapeTimeout=1s",
    "metrics.prometheusRule.postgresqlUnavailable.for=1s",
    "metrics.prometheusRule.noConsumer.for=1s",
)
PRODUCE = """
import os, sys
from confluent_kafka import Producer
producer = Producer({"bootstrap.servers": os.environ["ORDERS_KAFKA__BOOTSTRAP_SERVERS"]})
producer.produce(os.environ["ORDERS_KAFKA__TOPIC"], sys.stdin.buffer.read())
assert not producer.flush(10)
"""


@pytest.mark.skipif(not DISCOVERY, reason="only the cluster of tests/cluster/kubernetes has a Prometheus operator")
def test_the_operators_prometheus_has_data_for_every_panel_and_fires_alerts(release: Release, tmp_path: Path) -> None:
    release.install("--values", VALUES, *(part for value in SHORT_INTERVALS for part in ("--set", value)))
    release.kubectl("apply", "--filename", "-", stdin=json.dumps(WATCHER))
    release.generate(SECONDS * RATE, "--rate", str(RATE))
    produce(release, order_document(order_uid="unusual", payment={"amount": 1}, unknown_field=1))
    eventually(lambda: stored(release) > RATE, within=60, what="orders are stored")
    with running_prometheus(release, tmp_path) as server, Loader(release).get():
        assert_alerts_on_an_outage(server, release)
        assert_panels_have_data(server, release.namespace)
        assert_alerts_without_a_consumer(server, release)


def produce(release: Release, document: dict[str, Any]) -> None:
    where = ("--stdin", f"deployment/{release.name}-consumer", "--container", "consumer")
    release.kubectl("exec", *where, "--", "python", "-c", PRODUCE, stdin=json.dumps(document))


@contextmanager
def running_prometheus(release: Release, folder: Path) -> Iterator[Prometheus]:
    """Run a Prometheus with the operator's configuration, except that targets and rules come from files."""
    eventually(lambda: len(configuration(release)["scrape_configs"]) == 2, within=60, what="both monitors")
    config, targets = configuration(release), folder / "targets.json"
    discoveries = [discovery for job in config["scrape_configs"] for discovery in job.pop("kubernetes_sd_configs")]
    assert all(each == {"role": "endpoints", "namespaces": {"names": [release.namespace]}} for each in discoveries)
    for job in config["scrape_configs"]:
        job["file_sd_configs"] = [{"files": [str(targets)]}]
    for name, rules in read(release, "configmap/prometheus-watcher-rulefiles-0").items():
        (folder / name).write_text(rules)
    command = [str(DISCOVERY), "endpoints", release.namespace, str(targets)]
    with (
        Process("service discovery", command, folder / "discovery.log"),
        configured(folder, config | {"rule_files": [str(folder / f"{release.namespace}-*.yaml")]}) as server,
    ):
        yield server


def configuration(release: Release) -> dict[str, Any]:
    """Return the operator's configuration, with the variable that a sidecar would replace."""
    packed = read(release, "secret/prometheus-watcher")["prometheus.yaml.gz"]
    text = gzip.decompress(base64.b64decode(packed)).decode()
    config: dict[str, Any] = yaml.safe_load(text.replace("$(SHARD)", "0"))
    return config


def read(release: Release, name: str) -> dict[str, str]:
    data: dict[str, str] = json.loads(release.kubectl("get", name, "--output", "json"))["data"]
    return data


def assert_alerts_on_an_outage(server: Prometheus, release: Release) -> None:
    server.wait_for_samples("sum(rate(orders_stored_total[20s])) > 0")
    release.scale("postgresql", 0, "statefulset")
    server.wait_until_firing("OrdersPostgresqlUnavailable")
    release.scale("postgresql", 1, "statefulset")
    server.wait_until_resolved("OrdersPostgresqlUnavailable")


def assert_alerts_without_a_consumer(server: Prometheus, release: Release) -> None:
    release.scale("consumer", 0)
    server.wait_until_firing("OrdersNoConsumer")
    release.scale("consumer", 1)
    server.wait_until_resolved("OrdersNoConsumer")

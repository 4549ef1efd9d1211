"""Prometheus as its operator configures it: by the ServiceMonitors and the rules of a release."""

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
from tests.factories import order_document
from tests.prometheus.panels import assert_all_show_something
from tests.prometheus.server import Prometheus, configured
from tests.waiting import eventually

RATE = 100
SECONDS = 300
"""As long as orders flow: more than all panels and alerts take."""
BESIDE_THE_STACK = str(ROOT / "k8s" / "values" / "kube-prometheus-stack.yaml")
SELECTOR = {"matchLabels": {"release": "kube-prometheus-stack"}}
DISCOVERY = shutil.which("prometheus-discovery")
WATCHER = {
    "apiVersion": "monitoring.coreos.com/v1",
    "kind": "Prometheus",
    "metadata": {"name": "watcher"},
    "spec": {
        "replicas": 0,  # it runs on this machine, which no image is needed for
        "version": "v2.42.0",
        "evaluationInterval": "1s",
        "serviceMonitorSelector": SELECTOR,
        "ruleSelector": SELECTOR,
    },
}
AT_ONCE = (
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


@pytest.mark.skipif(not DISCOVERY, reason="only the cluster that is made here has a Prometheus operator")
def test_the_operators_prometheus_shows_every_panel_and_tells_of_faults(release: Release, tmp_path: Path) -> None:
    release.install("--values", BESIDE_THE_STACK, *(part for value in AT_ONCE for part in ("--set", value)))
    release.kubectl("apply", "--filename", "-", stdin=json.dumps(WATCHER))
    release.generate(SECONDS * RATE, "--rate", str(RATE))
    produce(release, order_document(order_uid="odd", payment={"amount": 1}, unknown_field=1))
    eventually(lambda: stored(release) > RATE, within=60, what="orders flow")
    with watching(release, tmp_path) as server, Loader(release).get():
        assert_tells_of_an_outage(server, release)
        assert_all_show_something(server, release.namespace)
        assert_tells_that_nobody_consumes(server, release)


def produce(release: Release, document: dict[str, Any]) -> None:
    where = ("--stdin", f"deployment/{release.name}-consumer", "--container", "consumer")
    release.kubectl("exec", *where, "--", "python", "-c", PRODUCE, stdin=json.dumps(document))


@contextmanager
def watching(release: Release, folder: Path) -> Iterator[Prometheus]:
    """Run a Prometheus with the operator's configuration, but for where it finds targets and rules: in a folder."""
    eventually(lambda: len(configuration(release)["scrape_configs"]) == 2, within=60, what="both monitors")
    made, targets = configuration(release), folder / "targets.json"
    discoveries = [discovery for job in made["scrape_configs"] for discovery in job.pop("kubernetes_sd_configs")]
    assert all(each == {"role": "endpoints", "namespaces": {"names": [release.namespace]}} for each in discoveries)
    for job in made["scrape_configs"]:
        job["file_sd_configs"] = [{"files": [str(targets)]}]
    for name, rules in read(release, "configmap/prometheus-watcher-rulefiles-0").items():
        (folder / name).write_text(rules)
    looker = [str(DISCOVERY), "endpoints", release.namespace, str(targets)]
    with (
        Process("Prometheus's discovery", looker, folder / "discovery.log"),
        configured(folder, made | {"rule_files": [str(folder / f"{release.namespace}-*.yaml")]}) as server,
    ):
        yield server


def configuration(release: Release) -> dict[str, Any]:
    """Return what the operator made, with that filled in which a sidecar does in its pod."""
    packed = read(release, "secret/prometheus-watcher")["prometheus.yaml.gz"]
    text = gzip.decompress(base64.b64decode(packed)).decode()
    made: dict[str, Any] = yaml.safe_load(text.replace("$(SHARD)", "0"))
    return made


def read(release: Release, name: str) -> dict[str, str]:
    data: dict[str, str] = json.loads(release.kubectl("get", name, "--output", "json"))["data"]
    return data


def assert_tells_of_an_outage(server: Prometheus, release: Release) -> None:
    server.tells("sum(rate(orders_stored_total[20s])) > 0")
    release.scale("postgresql", 0, "statefulset")
    server.fires("OrdersPostgresqlUnavailable")
    release.scale("postgresql", 1, "statefulset")
    server.resolves("OrdersPostgresqlUnavailable")


def assert_tells_that_nobody_consumes(server: Prometheus, release: Release) -> None:
    release.scale("consumer", 0)
    server.fires("OrdersNoConsumer")
    release.scale("consumer", 1)
    server.resolves("OrdersNoConsumer")

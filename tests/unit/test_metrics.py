"""docs/metrics.md is generated from `service/metrics.py`: after a change, run `make reference`."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from service.entities.dead_letter import Reason
from service.handler.http.responses.routing import METHODS
from service.metrics import LABELS, ApiMetrics, ConsumerMetrics
from tests.kit.in_memory_api import InMemoryApi
from tests.kit.metrics import declared

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "docs" / "metrics.md"
RULES = yaml.safe_load((ROOT / ".ci" / "compose" / "prometheus" / "alerts.yml").read_text())
ALERTS = {rule["alert"]: rule["expr"] for group in RULES["groups"] for rule in group["rules"] if "alert" in rule}
DASHBOARD = json.loads((ROOT / "chart" / "files" / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
INTRODUCTION = """\
# Metrics

Consumer and API serve `/metrics` on their admin port (9000). The column "mode" says which of them
exports a metric. Names contain the unit. `service/metrics.py` declares every metric, and
prometheus_client adds `process_*` and `python_gc_*`.

| metric | kind | labels | mode | meaning | alerts (linked) and dashboard panels |
|---|---|---|---|---|---|
"""
OF_LABELS = """
## Labels

Labels never contain external input, so the number of series is bounded.

| label | values |
|---|---|"""


class Declared(NamedTuple):
    name: str
    kind: str
    labels: list[str]
    mode: str
    meaning: str
    readers: list[str]


def catalog() -> list[Declared]:
    return [_declared(metric, mode) for metric, mode in declared()]


def _declared(collector: Any, mode: str) -> Declared:
    (family,) = collector.describe()
    labels = getattr(collector, "_labelnames", None) or getattr(collector, "_labels", [])
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return Declared(name, family.type, [*labels], mode, family.documentation, [*_readers(name)])


def _readers(metric: str) -> Iterator[str]:
    """Yield the alerts and the dashboard's panels with a query of the metric."""
    query = re.compile(rf"\b{metric}(_bucket|_count|_sum)?\b")
    for alert, expression in ALERTS.items():
        if query.search(expression):
            yield f"[{alert}](runbooks/{_runbook(alert)}.md)"
    for panel in PANELS:
        if any(query.search(target["expr"]) for target in panel["targets"]):
            yield panel["title"]


def _runbook(alert: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", alert).lower()


def published() -> str:
    rows = [
        f"| `{each.name}` | {each.kind} | {', '.join(each.labels)} | {each.mode} | {each.meaning} "
        f"| {', '.join(each.readers)} |"
        for each in catalog()
    ]
    labels = [f"| {name} | {values} |" for name, values in LABELS.items()]
    return INTRODUCTION + "\n".join([*rows, OF_LABELS, *labels, ""])


def test_the_page_is_up_to_date() -> None:
    assert PUBLISHED.read_text() == published()


def test_every_metric_has_the_prefix_a_description_and_documented_labels() -> None:
    assert [each.name for each in catalog() if not each.name.startswith("orders_")] == []
    assert {label for each in catalog() for label in each.labels} == {*LABELS}
    assert [each.name for each in catalog() if not each.meaning.endswith(".")] == []


def test_every_metric_is_read_by_an_alert_or_a_panel() -> None:
    assert [each.name for each in catalog() if not each.readers] == []


def test_a_mode_exports_no_metric_of_the_other_one() -> None:
    consumer, api = ConsumerMetrics(CollectorRegistry()), ApiMetrics(CollectorRegistry())
    both = exported(consumer.registry) & exported(api.registry)
    assert both == {"orders_dependency_up", "orders_build_info"}


def exported(registry: CollectorRegistry) -> set[str]:
    return {family.name for family in registry.collect()}


def test_each_reason_of_a_dead_letter_has_a_series() -> None:
    samples = [
        sample.labels["reason"]
        for family in ConsumerMetrics(CollectorRegistry()).registry.collect()
        if family.name == "orders_dead_letters"
        for sample in family.samples
        if sample.name.endswith("_total")
    ]
    assert samples == [*Reason]


HOSTILE = InMemoryApi()


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["GET", "HEAD", "POST", "BREW", "OPTIONS"]),
    st.lists(st.text("abc/.%?=&", max_size=12) | st.sampled_from(["orders", "assets", "stats"]), max_size=4),
)
def test_no_request_adds_a_series(method: str, path: list[str]) -> None:
    HOSTILE.client.request(method, "http://testserver/" + "/".join(path))
    handlers = {"none", "/", "/orders", "/orders/{order_uid}", "/stats", "/assets"}
    series = [sample for family in HOSTILE.metrics.registry.collect() for sample in family.samples]
    assert {each.labels["handler"] for each in series if "handler" in each.labels} <= handlers
    assert {each.labels["method"] for each in series if "method" in each.labels} <= {*METHODS, "other"}

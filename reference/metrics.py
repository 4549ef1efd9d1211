"""docs/metrics.md, from `service/metrics.py`, the alerts and the dashboard."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import yaml
from prometheus_client import CollectorRegistry

from reference import ROOT
from reference.dashboard import dashboard
from service.metrics import LABELS, ApiMetrics, CommonMetrics, ConsumerMetrics, MetricFactory

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


def declared() -> list[tuple[Any, str]]:
    """Return each metric, and the mode that exports it: consumer, api or both. In the order of `service/metrics.py`."""
    common = vars(CommonMetrics(MetricFactory(CollectorRegistry())))
    modes = {"consumer": ConsumerMetrics, "api": ApiMetrics}
    return [
        *((metric, mode) for mode, create in modes.items() for metric in _own(create(CollectorRegistry()), common)),
        *((metric, "both") for name, metric in common.items() if name != "registry"),
    ]


def _own(metrics: CommonMetrics, common: dict[str, Any]) -> list[Any]:
    return [metric for name, group in vars(metrics).items() if name not in common for metric in vars(group).values()]


def _declared(collector: Any, mode: str) -> Declared:
    (family,) = collector.describe()
    labels = getattr(collector, "_labelnames", None) or getattr(collector, "_labels", [])
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return Declared(name, family.type, [*labels], mode, family.documentation, [*_readers(name)])


def _readers(metric: str) -> Iterator[str]:
    """Yield the alerts and the dashboard's panels with a query of the metric."""
    query = re.compile(rf"\b{metric}(_bucket|_count|_sum)?\b")
    for alert, expression in _alerts().items():
        if query.search(expression):
            yield f"[{alert}](runbooks/{_runbook(alert)}.md)"
    for panel in _panels():
        if any(query.search(target["expr"]) for target in panel["targets"]):
            yield panel["title"]


@cache
def _alerts() -> dict[str, str]:
    """Return each alert's query."""
    rules = yaml.safe_load((ROOT / "local/compose/prometheus/alerts.yml").read_text(encoding="utf-8"))
    return {rule["alert"]: rule["expr"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}


@cache
def _panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def _runbook(alert: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", alert).lower()


def render() -> str:
    rows = [
        f"| `{each.name}` | {each.kind} | {', '.join(each.labels)} | {each.mode} | {each.meaning} "
        f"| {', '.join(each.readers)} |"
        for each in catalog()
    ]
    labels = [f"| {name} | {values} |" for name, values in LABELS.items()]
    return INTRODUCTION + "\n".join([*rows, OF_LABELS, *labels, ""])

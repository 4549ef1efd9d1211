"""The metrics that a process declares."""

from typing import Any

from prometheus_client import CollectorRegistry

from service.metrics import Metrics


def groups() -> dict[str, Any]:
    """Return each attribute of Metrics: a metric, or a group of metrics."""
    return {name: each for name, each in vars(Metrics(CollectorRegistry())).items() if name != "registry"}


def collectors(group: Any) -> list[Any]:
    return [group] if hasattr(group, "describe") else [*vars(group).values()]

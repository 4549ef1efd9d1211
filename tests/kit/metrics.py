"""The metrics that each mode declares."""

from typing import Any

from prometheus_client import CollectorRegistry

from service.metrics import ApiMetrics, CommonMetrics, ConsumerMetrics, MetricFactory


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

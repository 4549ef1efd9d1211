"""The metrics of one process."""

from collections.abc import Callable
from typing import TypeVar

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, disable_created_metrics

from service.app.build_info import build_info
from service.metrics import CommonMetrics

M = TypeVar("M", bound=CommonMetrics)


def new_metrics(create: Callable[[CollectorRegistry], M], mode: str) -> M:
    """Return the metrics of a mode on a new registry, together with those of the process and the garbage collector."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # these would double the number of series
    metrics = create(registry := CollectorRegistry())
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    metrics.build_info.labels(**build_info(mode)).set(1)
    return metrics

"""The metrics of one process."""

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, disable_created_metrics

from service.app.build_info import build_info
from service.metrics import Metrics


def new_metrics(mode: str) -> Metrics:
    """Return our metrics on a new registry, together with those of the process and the garbage collector."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # these would double the number of series
    metrics = Metrics(registry := CollectorRegistry())
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    metrics.build_info.labels(**build_info(mode)).set(1)
    return metrics

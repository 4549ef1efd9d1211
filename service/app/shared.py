"""What consumer and API have in common."""

from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, disable_created_metrics

from service.config import Postgres
from service.metrics import Metrics
from service.pkg.tx import Access

WRITER: Final = "orders-consumer"
"""The application name under which consumers write."""


def about(mode: str) -> dict[str, str]:
    return {"version": version("orders"), "mode": mode}


def new_metrics(mode: str) -> Metrics:
    """Return the catalogue on a registry of its own, beside what every Python process tells of itself."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which nobody reads
    metrics = Metrics(registry := CollectorRegistry())
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    metrics.build_info.labels(**about(mode)).set(1)
    return metrics


def access(postgres: Postgres, application: str) -> Access:
    """Return how to reach PostgreSQL; `application` is the name that its administrator sees."""
    return Access(
        postgres.dsn,
        application,
        connect_timeout=postgres.connect_timeout,
        statement_timeout=postgres.statement_timeout,
        lock_timeout=postgres.lock_timeout,
        prepared_statements=postgres.prepared_statements,
    )

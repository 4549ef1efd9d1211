"""Helpers that several commands share."""

from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, disable_created_metrics

from service.config import PostgresSettings
from service.metrics import Metrics
from service.repo.connection import ConnectionSettings

CONSUMER_APPLICATION_NAME: Final = "orders-consumer"
"""`application_name` of the consumers' connections."""


def build_info(mode: str) -> dict[str, str]:
    return {"version": version("orders"), "mode": mode}


def new_metrics(mode: str) -> Metrics:
    """Return our metrics on a new registry, together with those of the process and the garbage collector."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # these would double the number of series
    metrics = Metrics(registry := CollectorRegistry())
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    metrics.build_info.labels(**build_info(mode)).set(1)
    return metrics


def connection_settings(postgres: PostgresSettings, application: str) -> ConnectionSettings:
    """`application` becomes `application_name`."""
    return ConnectionSettings(
        postgres.dsn,
        application,
        connect_timeout=postgres.connect_timeout,
        statement_timeout=postgres.statement_timeout,
        lock_timeout=postgres.lock_timeout,
        prepared_statements=postgres.prepared_statements,
    )

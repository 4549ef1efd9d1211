"""What modes and commands have in common."""

from importlib.metadata import version
from typing import Final

from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, disable_created_metrics

from service.config import Kafka, Postgres
from service.entities.errors import CommandRefused
from service.metrics import Metrics
from service.pkg.tx import Access

WRITER: Final = "orders-consumer"
"""The application name under which consumers write."""

_CALL_SECONDS: Final = 10.0
_WITHOUT_MEMBERS: Final = (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD)


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


def require_no_members(kafka: Kafka, admin: AdminClient) -> None:
    """Raise CommandRefused for a live group: its members would go on from where they are, and commit that."""
    request = admin.describe_consumer_groups([kafka.group_id], request_timeout=_CALL_SECONDS)[kafka.group_id]
    group = request.result()
    if group.state not in _WITHOUT_MEMBERS:
        raise CommandRefused(f"group {kafka.group_id} has {len(group.members)} members: stop the consumers first")

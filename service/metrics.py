"""All metrics: names with units, bounded labels, descriptions, and the mode that has them.

Each group of metrics is a class. `docs/metrics.md` lists the groups and their metrics in this order, and the alerts and
dashboard panels that read each metric.
"""

from collections.abc import Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.entities.dead_letter import Reason
from service.entities.message_format import MessageFormat
from service.unlocked_metrics import CounterFunction, UnlockedCounter, UnlockedHistogram

REPLAY_OUTCOMES: Final = ("sent", "refused")
STAGES: Final = ("decode", "write", "commit")
KINDS: Final = ("assigned", "revoked", "lost")

LABELS: Final = {
    "reason": ", ".join(Reason),
    "format": ", ".join(MessageFormat),
    "outcome": ", ".join(REPLAY_OUTCOMES),
    "stage": ", ".join(STAGES),
    "path": "payment.amount, payment.goods_total",
    "sqlstate_class": "the first two characters of the SQLSTATE; `none` without one",
    "kind": ", ".join(KINDS),
    "topic": "topics of the partitions assigned to this member",
    "partition": "numbers of the partitions assigned to this member",
    "handler": "route templates; `none` if no route matches",
    "method": "GET, HEAD, POST, other",
    "status": "the statuses in `/openapi.json`; 404 and 405 if no route matches; 200 and 304 of static files",
    "dependency": "postgresql, kafka and registry (consumer), notifications (API)",
    "server": "host:port of each connection string in `ORDERS_POSTGRES__LISTEN_DSN`",
    "version": "the release",
    "mode": "consumer, api",
}
"""The values of each label. None comes from external input, so the number of series is bounded."""

_STAGE_BUCKETS_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_REQUEST_BUCKETS_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_BATCH_BUCKETS_MESSAGES: Final = (1, 10, 50, 100, 250, 500, 1_000, 2_000, 5_000, 10_000)


class MetricFactory:
    """Creates metrics of one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry

    def counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"orders_{name}", meaning, labels, registry=self.registry)

    def gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"orders_{name}", meaning, labels, registry=self.registry)

    def histogram(self, name: str, meaning: str, *labels: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(f"orders_{name}", meaning, labels, buckets=buckets, registry=self.registry)


class IngestMetrics:
    def __init__(self, create: MetricFactory) -> None:
        counter = create.counter
        self.consumed = counter("consumed", "Messages consumed from Kafka, including tombstones and bad ones.")
        self.stored = counter("stored", "Orders stored for the first time.")
        self.replaced = counter("replaced", "Stored orders replaced by a newer version.")
        self.unchanged = counter("unchanged", "Orders received again with an equal document.")
        self.stale = counter("stale", "Orders older than the stored version (ignored).")
        self.erased_skipped = counter("erased_skipped", "Orders received after they were erased (skipped).")
        self.expired_skipped = counter(
            "expired_skipped", "Orders received when they were older than `ORDERS_RETENTION__MAX_AGE` (skipped)."
        )
        self.decoded = UnlockedCounter(
            "orders_decoded",
            "Orders, and tombstones in envelopes, by the format of their message.",
            ["format"],
            registry=create.registry,
        )
        self.tombstones = counter("tombstones", "Messages without a value, or with the JSON value null (skipped).")
        for message_format in MessageFormat:
            self.decoded.labels(message_format)


class DeadLetterMetrics:
    def __init__(self, create: MetricFactory) -> None:
        counter = create.counter
        self.sent = counter("dead_letters", "Messages sent to the dead-letter topic.", "reason")
        self.retries = counter("dead_letter_retries", "Failed attempts to produce to the dead-letter topic.")
        self.recoveries = counter(
            "dead_letter_recoveries", "Batches of dead letters that were acknowledged after a retry."
        )
        for reason in Reason:
            self.sent.labels(reason)


class AnomalyMetrics:
    """Anomalies of accepted messages."""

    def __init__(self, create: MetricFactory) -> None:
        counter = create.counter
        self.unknown_fields = counter("unknown_fields", "Unknown fields in order documents (ignored).")
        self.coerced_values = counter(
            "coerced_values", "Strings and decimals that were read as integers (`ORDERS_DOCUMENT__COERCE`)."
        )
        self.unreadable_headers = counter(
            "unreadable_headers", "Messages with a header name that is not UTF-8 (consumed without headers)."
        )
        self.amount_mismatches = counter("amount_mismatches", "Orders whose amounts do not match their sums.", "path")


class WriteMetrics:
    def __init__(self, create: MetricFactory) -> None:
        counter, label = create.counter, "sqlstate_class"
        self.retries = counter("retries", "Failed writes to PostgreSQL that were retried, by SQLSTATE class.", label)
        self.recoveries = counter("retry_recoveries", "Writes that succeeded after a retry, by the last error.", label)
        self.give_ups = counter(
            "retry_give_ups", "Writes given up after `ORDERS_RETRY__GIVE_UP_AFTER`, by the last error.", label
        )


class ConsumptionMetrics:
    def __init__(self, create: MetricFactory) -> None:
        counter = create.counter
        self.rebalances = counter("rebalances", "Changes of this member's assigned partitions.", "kind")
        self.offsets_skipped = counter(
            "offsets_skipped", "Offsets out of range: deleted before they were consumed, or past the end of the topic."
        )
        self.topic_recreations = counter(
            "topic_recreations", "Times that the topic was found to be recreated, and was read from its beginning."
        )
        self.commit_failures = counter("commit_failures", "Failed offset commits; the next commit includes them.")
        self.paused_seconds = counter("paused_seconds", "Seconds during which fetching was paused.")
        self.circuit_breaker_open = create.gauge(
            "circuit_breaker_open", "1 while the circuit breaker has stopped consumption."
        )
        for kind in KINDS:
            self.rebalances.labels(kind)


class BatchMetrics:
    def __init__(self, create: MetricFactory) -> None:
        histogram = create.histogram
        self.messages = histogram("batch_messages", "Messages per batch.", buckets=_BATCH_BUCKETS_MESSAGES)
        self.seconds = histogram(
            "batch_seconds", "Duration of a batch's stages.", "stage", buckets=_STAGE_BUCKETS_SECONDS
        )
        for stage in STAGES:
            self.seconds.labels(stage)


class PartitionMetrics:
    def __init__(self, create: MetricFactory) -> None:
        self.lag_messages = create.gauge(
            "lag_messages",
            "Messages of a partition, up to the last stable offset, that are not stored or dead-lettered yet.",
            "topic",
            "partition",
        )
        self.lag_seconds = create.gauge(
            "lag_seconds",
            "Age of the last finished record, or seconds since the lag was last 0 if that is less; 0 without lag.",
            "topic",
            "partition",
        )
        self.open_transaction_messages = create.gauge(
            "open_transaction_messages",
            "Messages of a partition after the last stable offset (open producer transactions).",
            "topic",
            "partition",
        )
        self.stalled_seconds = create.gauge(
            "partition_stalled_seconds",
            "Seconds since the last progress in a partition with a backlog; 0 without one.",
            "topic",
            "partition",
        )


class CacheMetrics:
    def __init__(self, create: MetricFactory) -> None:
        registry = create.registry
        self.hits = CounterFunction("orders_cache_hits", "Orders served from the cache.", registry=registry)
        self.misses = CounterFunction("orders_cache_misses", "Orders not found in the cache.", registry=registry)
        self.evictions = create.counter("cache_evictions", "Orders evicted because the cache was full.")
        self.invalidations = create.counter("cache_invalidations", "Times that the whole cache was invalidated.")
        self.entries = create.gauge("cache_entries", "Orders in the cache.")
        self.bytes = create.gauge("cache_bytes", "Memory of the cached orders, including overhead.")
        self.warm_up_seconds = create.gauge("warm_up_seconds", "Duration of the cache warm-up.")
        self.warm_up_orders = create.gauge("warm_up_orders", "Orders loaded by the cache warm-up.")


class PostgresqlMetrics:
    def __init__(self, create: MetricFactory) -> None:
        self.pool_waiting = create.gauge("pool_waiting", "Reads waiting for a connection from the pool.")
        self.listener_up = create.gauge(
            "listener_up", "1 while notifications from the PostgreSQL server arrive, else 0.", "server"
        )


class EventMetrics:
    def __init__(self, create: MetricFactory) -> None:
        self.clients = create.gauge("event_clients", "Open event streams.")
        self.clients_dropped = create.counter(
            "event_clients_dropped", "Event streams closed because the client was too slow."
        )


class HttpMetrics:
    def __init__(self, create: MetricFactory) -> None:
        self.requests = UnlockedCounter(
            "orders_http_requests",
            "HTTP requests by route template (`none` if no route matches).",
            ["handler", "method", "status"],
            registry=create.registry,
        )
        self.request_seconds = UnlockedHistogram(
            "orders_http_request_seconds",
            "Seconds until the response started.",
            ["handler", "method"],
            buckets=_REQUEST_BUCKETS_SECONDS,
            registry=create.registry,
        )
        self.clients_dropped = create.counter(
            "http_clients_dropped", "Connections closed because the client read too slowly, or too many clients did."
        )


class ApiKeyMetrics:
    def __init__(self, create: MetricFactory) -> None:
        self.accepted = create.gauge("api_keys", "Accepted API keys.")
        self.file_errors = create.gauge(
            "api_keys_file_errors",
            "Malformed (ignored) lines in the file of API keys; 1 if it is unreadable or has no key.",
        )


class ReplayMetrics:
    def __init__(self, create: MetricFactory) -> None:
        self.outcomes = create.counter(
            "dead_letter_replays", "Dead letters that a client of the API replayed, without dry runs.", "outcome"
        )
        for outcome in REPLAY_OUTCOMES:
            self.outcomes.labels(outcome)


class CommonMetrics:
    """The metrics of both modes."""

    def __init__(self, create: MetricFactory) -> None:
        self.registry = create.registry
        self.dependency_up = create.gauge(
            "dependency_up",
            "1 if the last call to the dependency succeeded, else 0. Absent for a registry "
            "that was not needed yet, or whose state no longer matters.",
            "dependency",
        )
        self.build_info = create.gauge("build_info", "Always 1.", "version", "mode")


class ConsumerMetrics(CommonMetrics):
    """The metrics of mode `consumer`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(create := MetricFactory(registry))
        self.ingest = IngestMetrics(create)
        self.dead_letters = DeadLetterMetrics(create)
        self.anomalies = AnomalyMetrics(create)
        self.writes = WriteMetrics(create)
        self.consumption = ConsumptionMetrics(create)
        self.batches = BatchMetrics(create)
        self.partitions = PartitionMetrics(create)


class ApiMetrics(CommonMetrics):
    """The metrics of mode `api`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(create := MetricFactory(registry))
        self.cache = CacheMetrics(create)
        self.postgresql = PostgresqlMetrics(create)
        self.events = EventMetrics(create)
        self.http = HttpMetrics(create)
        self.api_keys = ApiKeyMetrics(create)
        self.replays = ReplayMetrics(create)

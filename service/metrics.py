"""All metrics: names with units, bounded labels, descriptions, and the mode that updates them.

`docs/metrics.md` lists the alerts and dashboard panels that read each metric.
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.unlocked_metrics import UnlockedCounter, UnlockedHistogram

REASONS: Final = ("undecodable", "invalid", "too-large", "rejected")
STAGES: Final = ("decode", "write", "commit")
KINDS: Final = ("assigned", "revoked", "lost")

LABELS: Final = {
    "reason": ", ".join(REASONS),
    "stage": ", ".join(STAGES),
    "path": "payment.amount, payment.goods_total",
    "sqlstate_class": "the first two characters of the SQLSTATE; `none` without one",
    "kind": ", ".join(KINDS),
    "partition": "numbers of the partitions assigned to this member",
    "handler": "route templates; `none` if no route matches",
    "method": "GET, HEAD, other",
    "status": "the statuses in `/openapi.json`; 404 and 405 if no route matches; 200 and 304 of static files",
    "dependency": "postgresql, kafka (consumer), notifications (API)",
    "server": "host:port of each connection string in `ORDERS_POSTGRES__LISTEN_DSN`",
    "version": "the release",
    "mode": "consumer, api",
}
"""The values of each label. None comes from external input, so the number of series is bounded."""

_STAGE_BUCKETS_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_REQUEST_BUCKETS_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_BATCH_BUCKETS_MESSAGES: Final = (1, 10, 50, 100, 250, 500, 1_000, 2_000, 5_000, 10_000)


class ConsumerMetrics:
    """Updated in mode `consumer`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, help_text: str, *labels: str) -> Counter:
            return Counter(f"orders_{name}", help_text, labels, registry=registry)

        self.consumed = counter("consumed", "Messages consumed from Kafka, including tombstones and bad ones.")
        self.stored = counter("stored", "Orders stored for the first time.")
        self.replaced = counter("replaced", "Stored orders replaced by a newer version.")
        self.unchanged = counter("unchanged", "Orders received again with an equal document.")
        self.stale = counter("stale", "Orders older than the stored version (ignored).")
        self.erased_skipped = counter("erased_skipped", "Orders received after they were erased (skipped).")
        self.expired_skipped = counter(
            "expired_skipped", "Orders received when they were older than `retention.max_age` (skipped)."
        )
        self.tombstones = counter("tombstones", "Messages without a value, or with the JSON value null (skipped).")
        self.dead_letters = counter("dead_letters", "Messages sent to the dead-letter topic.", "reason")
        self.dead_letter_retries = counter(
            "dead_letter_retries", "Failed attempts to produce to the dead-letter topic."
        )
        self.dead_letter_recoveries = counter(
            "dead_letter_recoveries", "Batches of dead letters that were acknowledged after a retry."
        )
        self.unknown_fields = counter("unknown_fields", "Unknown fields in order documents (ignored).")
        self.unreadable_headers = counter(
            "unreadable_headers", "Messages with a header name that is not UTF-8 (consumed without headers)."
        )
        self.amount_mismatches = counter("amount_mismatches", "Orders whose amounts do not match their sums.", "path")
        self.retries = counter(
            "retries", "Failed writes to PostgreSQL that were retried, by SQLSTATE class.", "sqlstate_class"
        )
        self.retry_recoveries = counter(
            "retry_recoveries", "Writes that succeeded after a retry, by the last error.", "sqlstate_class"
        )
        self.retry_give_ups = counter(
            "retry_give_ups",
            "Writes given up after `retry.give_up_after`, by the last error.",
            "sqlstate_class",
        )
        self.rebalances = counter("rebalances", "Changes of this member's assigned partitions.", "kind")
        self.offsets_skipped = counter(
            "offsets_skipped", "Offsets out of range: deleted before they were consumed, or past the end of the topic."
        )
        self.topic_recreations = counter(
            "topic_recreations", "Times that the topic was found to be recreated, and was read from its beginning."
        )
        self.commit_failures = counter("commit_failures", "Failed offset commits; the next commit includes them.")
        self.paused_seconds = counter("paused_seconds", "Seconds during which fetching was paused.")
        self.circuit_breaker_open = Gauge(
            "orders_circuit_breaker_open", "1 while the circuit breaker has stopped consumption.", registry=registry
        )
        self.batch_messages = Histogram(
            "orders_batch_messages", "Messages per batch.", buckets=_BATCH_BUCKETS_MESSAGES, registry=registry
        )
        self.batch_seconds = Histogram(
            "orders_batch_seconds",
            "Duration of a batch's stages.",
            ["stage"],
            buckets=_STAGE_BUCKETS_SECONDS,
            registry=registry,
        )
        self.lag_messages = Gauge(
            "orders_lag_messages",
            "Messages of a partition, up to the last stable offset, that are not stored or dead-lettered yet.",
            ["partition"],
            registry=registry,
        )
        self.lag_seconds = Gauge(
            "orders_lag_seconds",
            "Age of the last finished record, or seconds since the lag was last 0 if that is less; 0 without lag.",
            ["partition"],
            registry=registry,
        )
        self.open_transaction_messages = Gauge(
            "orders_open_transaction_messages",
            "Messages of a partition after the last stable offset (open producer transactions).",
            ["partition"],
            registry=registry,
        )
        self.partition_stalled_seconds = Gauge(
            "orders_partition_stalled_seconds",
            "Seconds since the last progress in a partition with a backlog; 0 without one.",
            ["partition"],
            registry=registry,
        )
        for reason in REASONS:
            self.dead_letters.labels(reason)
        for stage in STAGES:
            self.batch_seconds.labels(stage)
        for kind in KINDS:
            self.rebalances.labels(kind)


class ApiMetrics:
    """Updated in mode `api`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._cache(registry)
        self._http(registry)

    def _cache(self, registry: CollectorRegistry) -> None:
        self.cache_hits = UnlockedCounter("orders_cache_hits", "Orders served from the cache.", registry=registry)
        self.cache_misses = Counter("orders_cache_misses", "Orders not found in the cache.", registry=registry)
        self.cache_evictions = Counter(
            "orders_cache_evictions", "Orders evicted because the cache was full.", registry=registry
        )
        self.cache_invalidations = Counter(
            "orders_cache_invalidations", "Times that the whole cache was invalidated.", registry=registry
        )
        self.cache_entries = Gauge("orders_cache_entries", "Orders in the cache.", registry=registry)
        self.cache_bytes = Gauge(
            "orders_cache_bytes", "Memory of the cached orders, including overhead.", registry=registry
        )
        self.warm_up_seconds = Gauge("orders_warm_up_seconds", "Duration of the cache warm-up.", registry=registry)
        self.warm_up_orders = Gauge("orders_warm_up_orders", "Orders loaded by the cache warm-up.", registry=registry)
        self.pool_waiting = Gauge(
            "orders_pool_waiting", "Reads waiting for a connection from the pool.", registry=registry
        )
        self.listener_up = Gauge(
            "orders_listener_up",
            "1 while notifications from the PostgreSQL server arrive, else 0.",
            ["server"],
            registry=registry,
        )
        self.event_clients = Gauge("orders_event_clients", "Open event streams.", registry=registry)
        self.event_clients_dropped = Counter(
            "orders_event_clients_dropped", "Event streams closed because the client was too slow.", registry=registry
        )

    def _http(self, registry: CollectorRegistry) -> None:
        self.http_requests = UnlockedCounter(
            "orders_http_requests",
            "HTTP requests by route template (`none` if no route matches).",
            ["handler", "method", "status"],
            registry=registry,
        )
        self.http_request_seconds = UnlockedHistogram(
            "orders_http_request_seconds",
            "Seconds until the response started.",
            ["handler", "method"],
            buckets=_REQUEST_BUCKETS_SECONDS,
            registry=registry,
        )
        self.http_clients_dropped = Counter(
            "orders_http_clients_dropped",
            "Connections closed because the client read too slowly, or too many clients did.",
            registry=registry,
        )
        self.api_keys = Gauge("orders_api_keys", "Accepted API keys.", registry=registry)
        self.api_keys_file_errors = Gauge(
            "orders_api_keys_file_errors",
            "Malformed (ignored) lines in the file of API keys; 1 if it is unreadable or has no key.",
            registry=registry,
        )


class Metrics(ConsumerMetrics, ApiMetrics):
    """All metrics, which each process exports. Those declared here are updated in both modes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        ConsumerMetrics.__init__(self, registry)
        ApiMetrics.__init__(self, registry)
        self.registry = registry
        self.dependency_up = Gauge(
            "orders_dependency_up",
            "1 if the last call to the dependency succeeded, else 0.",
            ["dependency"],
            registry=registry,
        )
        self.build_info = Gauge("orders_build_info", "Always 1.", ["version", "mode"], registry=registry)

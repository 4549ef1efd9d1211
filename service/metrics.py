"""The catalogue of all metrics. Each is declared once, here: name with its unit, labels (bounded), meaning."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.pkg.unlocked_metrics import UnlockedCounter, UnlockedHistogram

REASONS: Final = ("undecodable", "invalid", "too-large", "rejected")
STAGES: Final = ("decode", "write", "commit")
KINDS: Final = ("assigned", "revoked", "lost")

LABELS: Final = {
    "reason": ", ".join(REASONS),
    "stage": ", ".join(STAGES),
    "path": "payment.amount, payment.goods_total",
    "sqlstate_class": "the first two characters of the SQLSTATE, `none` where there was none",
    "kind": ", ".join(KINDS),
    "partition": "numbers of the partitions that this member has",
    "handler": "templates of routes; `none` where no route matches",
    "method": "GET, HEAD, other",
    "status": "statuses that `/openapi.json` lists, 404 and 405 where no route matches, 200 and 304 of files",
    "dependency": "postgresql, kafka (consumer), notifications (API)",
    "version": "the release",
    "mode": "consumer, api",
}
"""What a label can be: never anything that came from outside, so that the number of series is bounded."""

_STAGE_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_REQUEST_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_BATCH_MESSAGES: Final = (1, 10, 50, 100, 250, 500, 1_000, 2_000, 5_000, 10_000)


class Metrics:
    """Made once for a process and passed to whoever counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._consumer(registry)
        self._cache(registry)
        self._http(registry)
        self._process(registry)

    def _consumer(self, registry: CollectorRegistry) -> None:
        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"orders_{name}", meaning, labels, registry=registry)

        self.consumed = counter("consumed", "Messages taken from Kafka, tombstones and bad ones included.")
        self.stored = counter("stored", "Orders stored for the first time.")
        self.replaced = counter("replaced", "Orders replaced by a newer version.")
        self.unchanged = counter("unchanged", "Orders that came again with the same document.")
        self.stale = counter("stale", "Orders older than the stored version: they change nothing.")
        self.erased_skipped = counter("erased_skipped", "Orders that came although they were erased: skipped.")
        self.tombstones = counter(
            "tombstones", "Messages without a value, or whose value is the JSON text null: skipped."
        )
        self.dead_letters = counter("dead_letters", "Messages sent to the dead-letter topic.", "reason")
        self.dead_letter_retries = counter("dead_letter_retries", "Attempts that the dead-letter topic did not take.")
        self.dead_letter_recoveries = counter(
            "dead_letter_recoveries", "Batches of dead letters that were acknowledged after a retry."
        )
        self.unknown_fields = counter("unknown_fields", "Fields that the order document does not have: ignored.")
        self.unreadable_headers = counter(
            "unreadable_headers", "Messages with a header whose name is not UTF-8: taken without their headers."
        )
        self.amount_mismatches = counter("amount_mismatches", "Orders whose amounts don't add up.", "path")
        self.retries = counter("retries", "Repeated attempts to write, by the class of the SQLSTATE.", "sqlstate_class")
        self.retry_recoveries = counter(
            "retry_recoveries", "Writes that succeeded after a retry, by the last error.", "sqlstate_class"
        )
        self.retry_give_ups = counter(
            "retry_give_ups",
            "Writes given up after `retry.give_up_after`, by the last error.",
            "sqlstate_class",
        )
        self.rebalances = counter("rebalances", "Changes of this member's partitions.", "kind")
        self.offsets_skipped = counter(
            "offsets_skipped", "Offsets missing from the topic: deleted before they were read, or beyond its end."
        )
        self.topic_recreations = counter(
            "topic_recreations", "Times that the topic was found deleted and created again: read from its beginning."
        )
        self.commit_failures = counter("commit_failures", "Offset commits that failed; the next one repeats them.")
        self.paused_seconds = counter("paused_seconds", "Seconds during which fetching was paused.")
        self.circuit_breaker_open = Gauge(
            "orders_circuit_breaker_open", "1 while a flood of bad messages has stopped us.", registry=registry
        )
        self.batch_messages = Histogram(
            "orders_batch_messages", "Messages of one batch.", buckets=_BATCH_MESSAGES, registry=registry
        )
        self.batch_seconds = Histogram(
            "orders_batch_seconds",
            "Seconds of one batch by stage.",
            ["stage"],
            buckets=_STAGE_SECONDS,
            registry=registry,
        )
        self.lag_messages = Gauge(
            "orders_lag_messages",
            "Messages of a partition that can be read and are not stored yet.",
            ["partition"],
            registry=registry,
        )
        self.lag_seconds = Gauge(
            "orders_lag_seconds",
            "Seconds since the last stored record, or since none waited, while others wait.",
            ["partition"],
            registry=registry,
        )
        self.open_transaction_messages = Gauge(
            "orders_open_transaction_messages",
            "Messages of a partition from a producer's open transaction on, which nobody may read yet.",
            ["partition"],
            registry=registry,
        )
        self.partition_stalled_seconds = Gauge(
            "orders_partition_stalled_seconds",
            "Seconds since a partition last made progress, while messages wait in it; 0 while none do.",
            ["partition"],
            registry=registry,
        )
        for reason in REASONS:
            self.dead_letters.labels(reason)
        for stage in STAGES:
            self.batch_seconds.labels(stage)
        for kind in KINDS:
            self.rebalances.labels(kind)

    def _cache(self, registry: CollectorRegistry) -> None:
        self.cache_hits = UnlockedCounter("orders_cache_hits", "Orders answered from memory.", registry=registry)
        self.cache_misses = Counter("orders_cache_misses", "Orders asked of PostgreSQL.", registry=registry)
        self.cache_evictions = Counter("orders_cache_evictions", "Orders dropped for want of room.", registry=registry)
        self.cache_invalidations = Counter(
            "orders_cache_invalidations", "Times that all entries became a miss.", registry=registry
        )
        self.cache_entries = Gauge("orders_cache_entries", "Orders in memory.", registry=registry)
        self.cache_bytes = Gauge(
            "orders_cache_bytes", "Bytes of orders in memory, overhead included.", registry=registry
        )
        self.warm_up_seconds = Gauge("orders_warm_up_seconds", "Seconds that the warm-up took.", registry=registry)
        self.warm_up_orders = Gauge("orders_warm_up_orders", "Orders that the warm-up loaded.", registry=registry)
        self.pool_waiting = Gauge(
            "orders_pool_waiting", "Reads that wait for a connection of the pool.", registry=registry
        )
        self.event_clients = Gauge("orders_event_clients", "Open event streams.", registry=registry)
        self.event_clients_dropped = Counter(
            "orders_event_clients_dropped", "Event streams closed because their reader was too slow.", registry=registry
        )

    def _http(self, registry: CollectorRegistry) -> None:
        self.http_requests = UnlockedCounter(
            "orders_http_requests",
            "HTTP requests; `handler` is the route's template, `none` where no route matches.",
            ["handler", "method", "status"],
            registry=registry,
        )
        self.http_request_seconds = UnlockedHistogram(
            "orders_http_request_seconds",
            "Seconds until an answer began.",
            ["handler", "method"],
            buckets=_REQUEST_SECONDS,
            registry=registry,
        )

        self.http_clients_dropped = Counter(
            "orders_http_clients_dropped",
            "Connections closed because their client was too slow to take its answers, or too many were.",
            registry=registry,
        )
        self.api_keys = Gauge("orders_api_keys", "API keys that are accepted.", registry=registry)
        self.api_keys_file_errors = Gauge(
            "orders_api_keys_file_errors",
            "Malformed lines of the file of API keys, which are left out; 1 while it can't be read or has no key.",
            registry=registry,
        )

    def _process(self, registry: CollectorRegistry) -> None:
        self.dependency_up = Gauge(
            "orders_dependency_up", "1 while the last call to it succeeded.", ["dependency"], registry=registry
        )
        self.build_info = Gauge("orders_build_info", "Always 1.", ["version", "mode"], registry=registry)

"""The chart's Grafana dashboard. Panels are placed in the order of ROWS."""

import json
from string import ascii_uppercase
from typing import Any, NamedTuple

WIDTH, HEIGHT, COLUMNS = 8, 7, 3
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
SELECTOR = 'namespace="$namespace",job=~"$job",instance=~"$instance"'


class Panel(NamedTuple):
    title: str
    unit: str
    description: str
    queries: dict[str, str]
    """Legend to expression; `%s` is replaced by the labels that select release and pods."""
    kind: str = "timeseries"


class Row(NamedTuple):
    title: str
    panels: list[Panel]


def rate(metric: str, *by: str, where: str = "") -> str:
    return f"sum{_by(by)} (rate({metric}{{%s{where}}}[$__rate_interval]))"


def quantile(share: float, metric: str, *by: str, where: str = "") -> str:
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', 'le', *by, where=where)})"


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""


ORDERS_ONLY = ',handler=~"/orders.*"'
FAILED = ORDERS_ONLY + ',status=~"5.."'
INSTANCES_OF_ORDERS = " and on (instance) orders_build_info{%s}"
ROWS = [
    Row(
        "Now",
        [
            Panel(
                "Stored", "ops", "New orders stored per second.",
                {"stored": rate("orders_stored_total")}, "stat",
            ),
            Panel(
                "Lag", "s", "Age of the last stored record in the partition with the highest lag.",
                {"lag": "max(orders_lag_seconds{%s})"}, "stat",
            ),
            Panel(
                "Circuit breaker", "bool_on_off", "On while bad messages or rejected orders pause a consumer.",
                {"circuit breaker": "max(orders_circuit_breaker_open{%s})"}, "stat",
            ),
        ],
    ),
    Row(
        "Flow",
        [
            Panel(
                "Orders", "ops", "Outcome of messages: new, replaced, unchanged, stale, erased, expired, tombstones.",
                {
                    name: rate(f"orders_{name}_total")
                    for name in (
                        "consumed", "stored", "replaced", "unchanged", "stale", "erased_skipped", "expired_skipped",
                        "tombstones",
                    )
                },
            ),
            Panel(
                "Lag by partition", "short", "Messages not stored yet; grows if they arrive faster than that.",
                {"{{topic}}-{{partition}}": "max by (topic, partition) (orders_lag_messages{%s})"},
            ),
            Panel(
                "Age by partition", "s", "Age of the last stored record while further messages wait.",
                {"{{topic}}-{{partition}}": "max by (topic, partition) (orders_lag_seconds{%s})"},
            ),
            Panel(
                "Stalled partitions", "s", "Time since a partition with unread messages last made progress.",
                {"{{topic}}-{{partition}}": "max by (topic, partition) (orders_partition_stalled_seconds{%s})"},
            ),
            Panel(
                "Behind open transactions", "short", "Messages that wait for a producer to end its transaction.",
                {"{{topic}}-{{partition}}": "max by (topic, partition) (orders_open_transaction_messages{%s})"},
            ),
            Panel(
                "Dead letters", "ops", "Messages sent to the dead-letter topic, by reason; failed attempts; replays.",
                {
                    "{{reason}}": rate("orders_dead_letters_total", "reason"),
                    "replays {{outcome}}": rate("orders_dead_letter_replays_total", "outcome"),
                    "failed attempts": rate("orders_dead_letter_retries_total"),
                    "recovered": rate("orders_dead_letter_recoveries_total"),
                },
            ),
            Panel(
                "Batch size", "short", "Messages per batch: 1 when idle, full batches with a backlog.",
                {"median": quantile(0.5, "orders_batch_messages"), "p95": quantile(0.95, "orders_batch_messages")},
            ),
            Panel(
                "Stages of a batch, p95", "s", "A batch is decoded while the previous one is written.",
                {"{{stage}}": quantile(0.95, "orders_batch_seconds", "stage")},
            ),
        ],
    ),
    Row(
        "Errors and retries",
        [
            Panel(
                "Write retries", "ops", "Attempts that failed with a transient error, by SQLSTATE class; recoveries.",
                {
                    "{{sqlstate_class}}": rate("orders_retries_total", "sqlstate_class"),
                    "recovered": rate("orders_retry_recoveries_total") + " or vector(0)",
                    "given up": rate("orders_retry_give_ups_total") + " or vector(0)",
                },
            ),
            Panel(
                "Rebalances", "short", "Changes of partitions in five minutes; expected during rollouts only.",
                {"{{kind}}": "sum by (kind) (increase(orders_rebalances_total{%s}[5m]))"},
            ),
            Panel(
                "Paused", "percentunit", "Share of time with fetching paused by an outage or an open circuit breaker.",
                {"paused": rate("orders_paused_seconds_total")},
            ),
            Panel(
                "Dependencies", "bool", "1 if the last call succeeded, or while notifications of the server arrive.",
                {
                    "{{dependency}}": "min by (dependency) (orders_dependency_up{%s})",
                    "notifications of {{server}}": "min by (server) (orders_listener_up{%s})",
                },
            ),
            Panel(
                "Offsets", "ops", "Failed commits, which are retried; offsets that are no longer in the topic.",
                {
                    "commits failed": rate("orders_commit_failures_total"),
                    "skipped": rate("orders_offsets_skipped_total"),
                    "topic recreated": rate("orders_topic_recreations_total"),
                },
            ),
            Panel(
                "Formats", "ops", "Decoded messages by format.",
                {"{{format}}": rate("orders_decoded_total", "format")},
            ),
            Panel(
                "Accepted anomalies", "ops", "Stored despite wrong amounts, unknown fields, coerced values or headers.",
                {
                    "{{path}}": rate("orders_amount_mismatches_total", "path"),
                    "unknown fields": rate("orders_unknown_fields_total"),
                    "coerced": rate("orders_coerced_values_total"),
                    "headers": rate("orders_unreadable_headers_total"),
                },
            ),
        ],
    ),
    Row(
        "API",
        [
            Panel(
                "Requests", "reqps", "Responses by status.",
                {"{{status}}": rate("orders_http_requests_total", "status")},
            ),
            Panel(
                "Errors", "percentunit", "Share of 5xx responses of the order routes.",
                {
                    "5xx": f"({rate('orders_http_requests_total', where=FAILED)} or vector(0)) / "
                    f"{rate('orders_http_requests_total', where=ORDERS_ONLY)}"
                },
            ),
            Panel(
                "Latency", "s", "Time to the first byte of the response, by route.",
                {
                    "{{handler}} p50": quantile(0.5, "orders_http_request_seconds", "handler", where=ORDERS_ONLY),
                    "{{handler}} p99": quantile(0.99, "orders_http_request_seconds", "handler", where=ORDERS_ONLY),
                },
            ),
            Panel(
                "Cache hit ratio", "percentunit", "Share of lookups served from the cache.",
                {
                    "hits": f"{rate('orders_cache_hits_total')} / "
                    f"({rate('orders_cache_hits_total')} + {rate('orders_cache_misses_total')})"
                },
            ),
            Panel(
                "Cache size", "bytes", "Size of the cached orders, by pod.",
                {"{{instance}}": "sum by (instance) (orders_cache_bytes{%s})"},
            ),
            Panel(
                "Cache changes", "ops", "Evictions of a full cache; invalidations after lost notifications.",
                {
                    "evictions": rate("orders_cache_evictions_total"),
                    "invalidations": rate("orders_cache_invalidations_total"),
                },
            ),
            Panel(
                "Cached orders", "short", "Cache entries, and orders loaded by the warm-up.",
                {
                    "{{instance}}": "sum by (instance) (orders_cache_entries{%s})",
                    "{{instance}} warm-up": "sum by (instance) (orders_warm_up_orders{%s})",
                },
            ),
            Panel(
                "Warm-up", "s", "Duration of the warm-up at the last start.",
                {"{{instance}}": "max by (instance) (orders_warm_up_seconds{%s})"},
            ),
            Panel(
                "API keys", "short", "Accepted keys, and errors in the key file.",
                {
                    "{{instance}} accepted": "max by (instance) (orders_api_keys{%s})",
                    "{{instance}} errors": "max by (instance) (orders_api_keys_file_errors{%s})",
                },
            ),
            Panel(
                "Waiting for a connection", "short", "Reads that wait while all pooled connections are in use.",
                {"{{instance}}": "max by (instance) (orders_pool_waiting{%s})"},
            ),
            Panel(
                "Event streams", "short", "Open streams; streams and connections closed because of a slow client.",
                {
                    "open": "sum(orders_event_clients{%s})",
                    "dropped in 5 minutes": "sum(increase(orders_event_clients_dropped_total{%s}[5m]))",
                    "connections dropped in 5 minutes": "sum(increase(orders_http_clients_dropped_total{%s}[5m]))",
                },
            ),
        ],
    ),
    Row(
        "Runtime",
        [
            Panel(
                "CPU", "short", "CPUs in use, by pod.",
                {"{{instance}}": "rate(process_cpu_seconds_total{%s}[$__rate_interval])" + INSTANCES_OF_ORDERS},
            ),
            Panel(
                "Memory", "bytes", "Resident memory, by pod.",
                {"{{instance}}": "process_resident_memory_bytes{%s}" + INSTANCES_OF_ORDERS},
            ),
            Panel(
                "Pods", "short", "Pods by mode and version; two versions during a rollout.",
                {"{{mode}} {{version}}": "count by (mode, version) (orders_build_info{%s})"},
            ),
        ],
    ),
]  # fmt: skip


def dashboard() -> dict[str, Any]:
    return {
        "uid": "orders",
        "title": "Orders",
        "description": "Orders from Kafka through PostgreSQL to HTTP. Runbooks for the alerts: docs/runbooks.",
        "tags": ["orders"],
        "timezone": "browser",
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "editable": False,
        "templating": {
            "list": [_datasource(), _namespace(), _label_filter("job", "Job"), _label_filter("instance", "Instance")]
        },
        "panels": _panels(),
    }


def _datasource() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}


def _namespace() -> dict[str, Any]:
    query = "label_values(orders_build_info, namespace)"
    return {
        "name": "namespace", "label": "Namespace", "type": "query", "datasource": SOURCE, "query": query, "refresh": 2
    }  # fmt: skip


def _label_filter(name: str, label: str) -> dict[str, Any]:
    """Return a variable that filters by a label's values in the namespace; all values by default."""
    query = f'label_values(orders_build_info{{namespace="$namespace"}}, {name})'
    all_values = {"multi": True, "includeAll": True, "allValue": ".+"}
    return {
        "name": name, "label": label, "type": "query", "datasource": SOURCE, "query": query, "refresh": 2, **all_values
    }  # fmt: skip


def _panels() -> list[dict[str, Any]]:
    """Return rows and panels from top to bottom, three panels side by side."""
    placed: list[dict[str, Any]] = []
    y = 0
    for row in ROWS:
        placed.append({"type": "row", "title": row.title, "gridPos": {"h": 1, "w": 24, "x": 0, "y": y}})
        for number, panel in enumerate(row.panels):
            line, column = divmod(number, COLUMNS)
            placed.append(_panel(panel, {"h": HEIGHT, "w": WIDTH, "x": column * WIDTH, "y": y + 1 + line * HEIGHT}))
        y += 1 + HEIGHT * -(-len(row.panels) // COLUMNS)
    return [{"id": number, **each} for number, each in enumerate(placed, start=1)]


def _panel(panel: Panel, position: dict[str, int]) -> dict[str, Any]:
    options = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": position,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": options if panel.kind == "timeseries" else {"colorMode": "value"},
        "targets": [_target(*query) for query in zip(ascii_uppercase, panel.queries.items(), strict=False)],
    }


def _target(name: str, query: tuple[str, str]) -> dict[str, str]:
    legend, expression = query
    return {"refId": name, "expr": expression.replace("%s", SELECTOR), "legendFormat": legend}


def render() -> str:
    return json.dumps(dashboard(), indent=1) + "\n"

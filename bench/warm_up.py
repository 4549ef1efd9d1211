"""Throughput of the warm-up, compared with a bare COPY of the same statement, and memory per cached order."""

from collections.abc import Iterator
from typing import Final
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from bench.baselines import copy_out
from bench.context import Context
from bench.figures import Sample
from bench.fixtures import mean_document_bytes, stored_orders
from bench.http_servers import HttpServer, orders_api
from bench.processes import child, run_for_result
from local.ports import HOST
from service.errors import ServerUnavailable

ORDERS: Final = 100_000

_MIN_ORDERS: Final = 10_000
"""Fewer orders take less memory than the process's own variation."""
_HTTP_TIMEOUT_SECONDS: Final = 10.0


def measure(context: Context) -> Iterator[Sample]:
    """Yield warm_up.orders, warm_up.copy, memory.entry and memory.document of each round.

    memory.entry is the growth of resident memory per cached order, memory.document the mean length of a document.
    """
    count = context.scaled(ORDERS, _MIN_ORDERS)
    with stored_orders(context, count) as database:
        mean = mean_document_bytes(database.dsn)
        for _ in range(context.rounds):
            yield Sample("warm_up.copy", "orders/s", _copy_rate(context, database.dsn, count))
            cold = _cold_bytes(context, database.dsn)
            with orders_api(context, database.dsn, _cache(count, count)) as api:
                warm = api.resident_bytes()
                yield Sample("warm_up.orders", "orders/s", _warm_up_rate(api, count))
            yield Sample("memory.entry", "bytes", (warm - cold) / count)
            yield Sample("memory.document", "bytes", mean)


def _cache(max_entries: int, warm_up_size: int) -> dict[str, str]:
    return {"ORDERS_CACHE__MAX_ENTRIES": str(max_entries), "ORDERS_CACHE__WARM_UP_SIZE": str(warm_up_size)}


def _copy_rate(context: Context, dsn: str, count: int) -> float:
    copy = child(context, "COPY", [copy_out.__name__, str(count)], {"ORDERS_POSTGRES__DSN": dsn})
    report = run_for_result(copy, copy_out.CopyResult)
    _require_count(report.orders, count)
    return count / report.seconds


def _cold_bytes(context: Context, dsn: str) -> int:
    with orders_api(context, dsn, _cache(1, 0)) as api:
        return api.resident_bytes()


def _warm_up_rate(api: HttpServer, count: int) -> float:
    metrics = _metrics(api)
    _require_count(round(metrics["orders_warm_up_orders"]), count)
    return count / metrics["orders_warm_up_seconds"]


def _metrics(api: HttpServer) -> dict[str, float]:
    """Return the metrics without labels."""
    with urlopen(f"http://{HOST}:{api.admin_port}/metrics", timeout=_HTTP_TIMEOUT_SECONDS) as response:
        families = [*text_string_to_metric_families(response.read().decode())]
    return {each.name: each.value for family in families for each in family.samples if not each.labels}


def _require_count(orders: int, count: int) -> None:
    if orders != count:
        raise ServerUnavailable(f"invalid measurement: {orders} orders were read instead of {count}")

"""How fast the API's cache is warm, beside a bare COPY of the same statement, and what an order takes there."""

from collections.abc import Iterator
from typing import Final
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from bench.answers import answer_of
from bench.baselines import copy_out
from bench.context import Context
from bench.figures import Sample
from bench.fixtures import mean_document_bytes, stored_orders
from bench.http_servers import HttpServer, ours
from bench.processes import child
from local.ports import HOST
from service.errors import ServerUnavailable

ORDERS: Final = 100_000

_LEAST: Final = 10_000
"""Orders below which a process's own ups and downs are more than what they take."""
_CALL_SECONDS: Final = 10.0


def measure(context: Context) -> Iterator[Sample]:
    """Yield warm.ours, warm.bare, memory.entry and memory.document of each round.

    memory.entry is by how much resident memory is larger per warmed order; memory.document is a document's mean length.
    """
    count = context.scaled(ORDERS, _LEAST)
    with stored_orders(context, count) as database:
        mean = mean_document_bytes(database.dsn)
        for _ in range(context.rounds):
            yield Sample("warm.bare", "orders/s", _copied_per_second(context, database.dsn, count))
            cold = _cold_bytes(context, database.dsn)
            with ours(context, database.dsn, _cache(count, count)) as api:
                warm = api.resident_bytes()
                yield Sample("warm.ours", "orders/s", _warmed_per_second(api, count))
            yield Sample("memory.entry", "bytes", (warm - cold) / count)
            yield Sample("memory.document", "bytes", mean)


def _cache(entries: int, warmed: int) -> dict[str, str]:
    return {"ORDERS_CACHE__MAX_ENTRIES": str(entries), "ORDERS_CACHE__WARM_UP_SIZE": str(warmed)}


def _copied_per_second(context: Context, dsn: str, count: int) -> float:
    copy = child(context, "COPY", [copy_out.__name__, str(count)], {"ORDERS_POSTGRES__DSN": dsn})
    report = answer_of(copy, copy_out.Report)
    return _checked(report.orders, count) / report.seconds


def _cold_bytes(context: Context, dsn: str) -> int:
    with ours(context, dsn, _cache(1, 0)) as api:
        return api.resident_bytes()


def _warmed_per_second(api: HttpServer, count: int) -> float:
    metrics = _metrics(api)
    return _checked(round(metrics["orders_warm_up_orders"]), count) / metrics["orders_warm_up_seconds"]


def _metrics(api: HttpServer) -> dict[str, float]:
    """Return those without labels."""
    with urlopen(f"http://{HOST}:{api.admin_port}/metrics", timeout=_CALL_SECONDS) as answer:
        families = [*text_string_to_metric_families(answer.read().decode())]
    return {each.name: each.value for family in families for each in family.samples if not each.labels}


def _checked(orders: int, count: int) -> int:
    if orders != count:
        raise ServerUnavailable(f"{orders} orders were read instead of {count}")
    return orders

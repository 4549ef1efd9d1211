"""Throughput of GETs: from the cache, compared with other servers, and from PostgreSQL, compared with a bare loop."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench import load
from bench.baselines import psycopg_loop
from bench.context import Context
from bench.figures import Sample
from bench.fixtures import FixtureFiles, documents, stored_orders, write_files
from bench.http_servers import BASELINES, HttpServer, baseline, orders_api
from bench.load import LoadResult
from bench.processes import child, run_for_result
from service.errors import ServerUnavailable

ORDERS: Final = 10_000
CACHED_CONNECTIONS: Final = 32
CACHED_REQUESTS: Final = 40_000
UNCACHED_CONNECTIONS: Final = 8
UNCACHED_REQUESTS: Final = 8_000

_MIN_COUNT: Final = 200
"""Minimum number of orders and of uncached requests for a usable measurement."""
_MIN_CACHED_REQUESTS: Final = 10_000
_WARM_UP_REQUESTS: Final = 10_000
"""Sent to each server before its first round, at any scale: a user's server has been running for more than a minute."""
_WARM_UP_REQUESTS_PER_CONNECTION: Final = 10
"""Sent before each round, because opening 32 connections costs the server as much as hundreds of cache hits."""
_REQUEST_FRACTIONS: Final = {"fastapi": 0.25}
"""Slower servers get only this fraction of the requests."""


def measure(context: Context) -> Iterator[Sample]:
    """Yield get.cached.* and get.uncached.* of each round.

    "requests/cpu-s" is requests per second of the server's CPU time. "ms" is the latency with CACHED_CONNECTIONS
    concurrent clients without think time, so it includes queueing.
    """
    count = context.scaled(ORDERS, _MIN_COUNT)
    with stored_orders(context, count) as database, TemporaryDirectory(dir=context.folder) as folder:
        files = write_files(Path(folder), documents(database.dsn, count))
        yield from _cached(context, database.dsn, files)
        yield from _uncached(context, database.dsn, files)


def _cached(context: Context, dsn: str, files: FixtureFiles) -> Iterator[Sample]:
    count = len(files.documents)
    with ExitStack() as running:
        all_cached = {"ORDERS_CACHE__MAX_ENTRIES": str(count), "ORDERS_CACHE__WARM_UP_SIZE": str(count)}
        servers = [running.enter_context(orders_api(context, dsn, all_cached)), *_baselines(context, files, running)]
        for server in servers:
            _load(context, files, server, CACHED_CONNECTIONS, max(count, _WARM_UP_REQUESTS))
        for _ in range(context.rounds):
            for server in servers:
                yield from _cached_round(context, files, server)


def _baselines(context: Context, files: FixtureFiles, running: ExitStack) -> Iterator[HttpServer]:
    """Start and yield the baselines that are installed."""
    for name in BASELINES:
        try:
            yield running.enter_context(baseline(name, context, files))
        except ServerUnavailable as error:
            context.echo(f"reads: skipping baseline {name}: {error}")


def _cached_round(context: Context, files: FixtureFiles, server: HttpServer) -> Iterator[Sample]:
    fraction = _REQUEST_FRACTIONS.get(server.name, 1)
    requests = context.scaled(round(CACHED_REQUESTS * fraction), round(_MIN_CACHED_REQUESTS * fraction))
    report = _load(context, files, server, CACHED_CONNECTIONS, requests)
    name = f"get.cached.{server.name}"
    yield Sample(name, "requests/cpu-s", requests / report.cpu_seconds)
    yield Sample(f"{name}.p50", "ms", report.p50_ms)
    yield Sample(f"{name}.p99", "ms", report.p99_ms)


def _uncached(context: Context, dsn: str, files: FixtureFiles) -> Iterator[Sample]:
    requests = context.scaled(UNCACHED_REQUESTS, _MIN_COUNT)
    with orders_api(context, dsn, {"ORDERS_CACHE__MAX_ENTRIES": "1", "ORDERS_CACHE__WARM_UP_SIZE": "0"}) as api:
        _load(context, files, api, UNCACHED_CONNECTIONS, _MIN_COUNT)
        for _ in range(context.rounds):
            report = _load(context, files, api, UNCACHED_CONNECTIONS, requests)
            yield from _uncached_samples("orders", requests, report.seconds, report.cpu_seconds)
            bare = _bare_loop(context, dsn, files, requests)
            yield from _uncached_samples("bare", requests, bare.seconds, bare.cpu_seconds)


def _uncached_samples(name: str, requests: int, seconds: float, cpu_seconds: float) -> Iterator[Sample]:
    yield Sample(f"get.uncached.{name}", "requests/s", requests / seconds)
    yield Sample(f"get.uncached.{name}.cpu", "us/request", 1e6 * cpu_seconds / requests)


def _load(context: Context, files: FixtureFiles, server: HttpServer, connections: int, requests: int) -> LoadResult:
    pids = ",".join(map(str, server.pids))
    warm_up = connections * _WARM_UP_REQUESTS_PER_CONNECTION
    arguments = map(str, (files.targets, server.port, connections, warm_up, requests, pids))
    generator = child(context, f"load of {server.name}", [load.__name__, *arguments], {})
    return run_for_result(generator, LoadResult)


def _bare_loop(context: Context, dsn: str, files: FixtureFiles, requests: int) -> psycopg_loop.LoopResult:
    arguments = map(str, (files.targets, UNCACHED_CONNECTIONS, requests))
    settings = {"ORDERS_POSTGRES__DSN": dsn}
    loop = child(context, "psycopg loop", [psycopg_loop.__name__, *arguments], settings)
    return run_for_result(loop, psycopg_loop.LoopResult)

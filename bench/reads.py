"""How fast an order is answered: from memory, beside other servers, and from PostgreSQL, beside a bare loop."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench import load
from bench.answers import answer_of
from bench.baselines import psycopg_loop
from bench.context import Context
from bench.figures import Sample
from bench.fixtures import FixtureFiles, documents, stored_orders, written
from bench.http_servers import BASELINES, HttpServer, baseline, ours
from bench.processes import child
from service.errors import ServerUnavailable

ORDERS: Final = 10_000
CACHED_CONNECTIONS: Final = 32
CACHED_REQUESTS: Final = 40_000
UNCACHED_CONNECTIONS: Final = 8
UNCACHED_REQUESTS: Final = 8_000

_LEAST: Final = 200
"""Orders, and requests, below which nothing can be measured."""
_SHARES: Final = {"fastapi": 0.25}
"""Who gets fewer requests, for each takes it so much longer."""


def measure(context: Context) -> Iterator[Sample]:
    """Yield get.cached.* and get.uncached.* of each round.

    "requests/cpu-s" is requests per second of the server's processor time; "ms" is as seen by CACHED_CONNECTIONS
    clients that each send the next request at once: it holds the wait for the others.
    """
    count = context.scaled(ORDERS, _LEAST)
    with stored_orders(context, count) as database, TemporaryDirectory(dir=context.folder) as folder:
        files = written(Path(folder), documents(database.dsn, count))
        yield from _cached(context, database.dsn, files)
        yield from _uncached(context, database.dsn, files)


def _cached(context: Context, dsn: str, files: FixtureFiles) -> Iterator[Sample]:
    count = len(files.documents)
    with ExitStack() as running:
        warm = {"ORDERS_CACHE__MAX_ENTRIES": str(count), "ORDERS_CACHE__WARM_UP_SIZE": str(count)}
        servers = [running.enter_context(ours(context, dsn, warm)), *_baselines(context, files, running)]
        for server in servers:
            _load(context, files, server, CACHED_CONNECTIONS, count)
        for _ in range(context.rounds):
            for server in servers:
                yield from _cached_round(context, files, server)


def _baselines(context: Context, files: FixtureFiles, running: ExitStack) -> Iterator[HttpServer]:
    """Start the baselines, and yield those that are installed."""
    for name in BASELINES:
        try:
            yield running.enter_context(baseline(name, context, files))
        except ServerUnavailable as obstacle:
            context.echo(f"cached GET without {name}: {obstacle}")


def _cached_round(context: Context, files: FixtureFiles, server: HttpServer) -> Iterator[Sample]:
    requests = context.scaled(round(CACHED_REQUESTS * _SHARES.get(server.name, 1)), _LEAST)
    used = server.cpu_seconds()
    report = _load(context, files, server, CACHED_CONNECTIONS, requests)
    used = server.cpu_seconds() - used
    name = f"get.cached.{server.name}"
    yield Sample(name, "requests/cpu-s", requests / used)
    yield Sample(f"{name}.p50", "ms", report.p50_ms)
    yield Sample(f"{name}.p99", "ms", report.p99_ms)


def _uncached(context: Context, dsn: str, files: FixtureFiles) -> Iterator[Sample]:
    requests = context.scaled(UNCACHED_REQUESTS, _LEAST)
    with ours(context, dsn, {"ORDERS_CACHE__MAX_ENTRIES": "1", "ORDERS_CACHE__WARM_UP_SIZE": "0"}) as api:
        _load(context, files, api, UNCACHED_CONNECTIONS, _LEAST)
        for _ in range(context.rounds):
            used = api.cpu_seconds()
            report = _load(context, files, api, UNCACHED_CONNECTIONS, requests)
            yield from _uncached_samples("ours", requests, report.seconds, api.cpu_seconds() - used)
            bare = _bare_loop(context, dsn, files, requests)
            yield from _uncached_samples("bare", requests, bare.seconds, bare.cpu_seconds)


def _uncached_samples(name: str, requests: int, seconds: float, cpu_seconds: float) -> Iterator[Sample]:
    yield Sample(f"get.uncached.{name}", "requests/s", requests / seconds)
    yield Sample(f"get.uncached.{name}.cpu", "us/request", 1e6 * cpu_seconds / requests)


def _load(context: Context, files: FixtureFiles, server: HttpServer, connections: int, requests: int) -> load.Report:
    arguments = map(str, (files.targets, server.port, connections, requests))
    generator = child(context, f"load of {server.name}", [load.__name__, *arguments], {})
    return answer_of(generator, load.Report)


def _bare_loop(context: Context, dsn: str, files: FixtureFiles, requests: int) -> psycopg_loop.Report:
    arguments = map(str, (files.targets, UNCACHED_CONNECTIONS, requests))
    settings = {"ORDERS_POSTGRES__DSN": dsn}
    loop = child(context, "psycopg loop", [psycopg_loop.__name__, *arguments], settings)
    return answer_of(loop, psycopg_loop.Report)

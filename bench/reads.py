"""How fast an order is answered: from memory, beside other servers, and from PostgreSQL, beside a bare loop."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench import load
from bench.answers import answer_of
from bench.children import child
from bench.contenders import RIVALS, Contender, ours, rival
from bench.figures import Sample
from bench.rivals import psycopg_loop
from bench.site import Site
from bench.stock import Files, documents, stocked, written
from service.entities.errors import ServerUnavailable

ORDERS: Final = 10_000
CACHED_CONNECTIONS: Final = 32
CACHED_REQUESTS: Final = 40_000
UNCACHED_CONNECTIONS: Final = 8
UNCACHED_REQUESTS: Final = 8_000

_LEAST: Final = 200
"""Orders, and requests, below which nothing can be measured."""
_SHARES: Final = {"fastapi": 0.25}
"""Who gets fewer requests, for each takes it so much longer."""


def measure(site: Site) -> Iterator[Sample]:
    """Yield get.cached.* and get.uncached.* of each round.

    "requests/cpu-s" is requests per second of the server's processor time; "ms" is as seen by CACHED_CONNECTIONS
    clients that each send the next request at once: it holds the wait for the others.
    """
    count = site.scaled(ORDERS, _LEAST)
    with stocked(site, count) as database, TemporaryDirectory(dir=site.folder) as folder:
        files = written(Path(folder), documents(database.dsn, count))
        yield from _cached(site, database.dsn, files)
        yield from _uncached(site, database.dsn, files)


def _cached(site: Site, dsn: str, files: Files) -> Iterator[Sample]:
    count = len(files.documents)
    with ExitStack() as running:
        warm = {"ORDERS_CACHE__MAX_ENTRIES": str(count), "ORDERS_CACHE__WARM_UP_SIZE": str(count)}
        contenders = [running.enter_context(ours(site, dsn, warm)), *_rivals(site, files, running)]
        for contender in contenders:
            _load(site, files, contender, CACHED_CONNECTIONS, count)
        for _ in range(site.rounds):
            for contender in contenders:
                yield from _cached_round(site, files, contender)


def _rivals(site: Site, files: Files, running: ExitStack) -> Iterator[Contender]:
    """Start each, and yield those that can be had here."""
    for name in RIVALS:
        try:
            yield running.enter_context(rival(name, site, files))
        except ServerUnavailable as obstacle:
            site.echo(f"cached GET without {name}: {obstacle}")


def _cached_round(site: Site, files: Files, contender: Contender) -> Iterator[Sample]:
    requests = site.scaled(round(CACHED_REQUESTS * _SHARES.get(contender.name, 1)), _LEAST)
    used = contender.cpu_seconds()
    report = _load(site, files, contender, CACHED_CONNECTIONS, requests)
    used = contender.cpu_seconds() - used
    name = f"get.cached.{contender.name}"
    yield Sample(name, "requests/cpu-s", requests / used)
    yield Sample(f"{name}.p50", "ms", report.p50_ms)
    yield Sample(f"{name}.p99", "ms", report.p99_ms)


def _uncached(site: Site, dsn: str, files: Files) -> Iterator[Sample]:
    requests = site.scaled(UNCACHED_REQUESTS, _LEAST)
    with ours(site, dsn, {"ORDERS_CACHE__MAX_ENTRIES": "1", "ORDERS_CACHE__WARM_UP_SIZE": "0"}) as api:
        _load(site, files, api, UNCACHED_CONNECTIONS, _LEAST)
        for _ in range(site.rounds):
            used = api.cpu_seconds()
            report = _load(site, files, api, UNCACHED_CONNECTIONS, requests)
            yield from _uncached_samples("ours", requests, report.seconds, api.cpu_seconds() - used)
            bare = _bare_loop(site, dsn, files, requests)
            yield from _uncached_samples("bare", requests, bare.seconds, bare.cpu_seconds)


def _uncached_samples(name: str, requests: int, seconds: float, cpu_seconds: float) -> Iterator[Sample]:
    yield Sample(f"get.uncached.{name}", "requests/s", requests / seconds)
    yield Sample(f"get.uncached.{name}.cpu", "us/request", 1e6 * cpu_seconds / requests)


def _load(site: Site, files: Files, contender: Contender, connections: int, requests: int) -> load.Report:
    arguments = map(str, (files.targets, contender.port, connections, requests))
    generator = child(site, f"load of {contender.name}", [load.__name__, *arguments], {})
    return answer_of(generator, load.Report)


def _bare_loop(site: Site, dsn: str, files: Files, requests: int) -> psycopg_loop.Report:
    arguments = map(str, (files.targets, UNCACHED_CONNECTIONS, requests))
    settings = {"ORDERS_POSTGRES__DSN": dsn}
    loop = child(site, "psycopg loop", [psycopg_loop.__name__, *arguments], settings)
    return answer_of(loop, psycopg_loop.Report)

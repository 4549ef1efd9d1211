"""Latency of an order from its producer to a GET, on an idle system and under load.

One consumer and one API run as users run them. A probe is a new order: its latency is the time from the producer's call
until the API returns 200 to a client that repeats the GET without a pause, on one connection.
"""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http import HTTPStatus
from http.client import HTTPConnection
from itertools import islice
from time import monotonic
from typing import Final, NamedTuple

from confluent_kafka import Producer

from bench.context import Context
from bench.databases import Database, copied, migrated
from bench.figures import Sample, percentile
from bench.processes import MeasuredService, child, wait_until
from bench.topics import QUIET, Topic, dated_now, filled
from generator.stream import Message, stream
from local.ports import HOST
from service.errors import ServerUnavailable

LOADS: Final = (0, 1_000, 5_000)
"""Orders per second that are produced besides the probes. Ascending, because the last one may leave a backlog."""

_PROBES: Final = 300
_MIN_PROBES: Final = 30
_MAX_LOAD_SECONDS: Final = 30
"""Maximum time for the probes under one load."""
_MIN_LOAD_SECONDS: Final = 5
_PROBE_TIMEOUT_SECONDS: Final = 30.0
_STARTUP_TIMEOUT_SECONDS: Final = 30.0
_REQUEST_TIMEOUT_SECONDS: Final = 10.0
_FIRST_SEED, _PROBE_SEED, _LOAD_SEED = 10_000, 20_000, 30_000
"""Load and round are added to these seeds, so the differences are larger than the largest sum."""


class System(NamedTuple):
    """A consumer and an API with their own topic and database."""

    context: Context
    topic: Topic
    database: Database
    api: MeasuredService


def measure(context: Context) -> Iterator[Sample]:
    """Yield 50th and 99th percentile, and the orders stored per second, of each load in each round."""
    with migrated(context) as template:
        for number in range(context.rounds):
            context.echo(f"latency: round {number + 1} of {context.rounds}")
            with running_system(context, template) as system:
                for load in LOADS:
                    yield from _measure_load(system, load, number)


def _measure_load(system: System, load: int, number: int) -> Iterator[Sample]:
    name = f"latency.{load or 'idle'}"
    with generating(system, load, _LOAD_SEED + load + number):
        stored, started_at = system.database.stored(), monotonic()
        milliseconds = sorted(_probe_all(system, _PROBE_SEED + load + number))
        rate = (system.database.stored() - stored) / (monotonic() - started_at)
    yield Sample(f"{name}.p50", "ms", percentile(milliseconds, 0.5))
    yield Sample(f"{name}.p99", "ms", percentile(milliseconds, 0.99))
    yield Sample(f"{name}.probes", "orders", len(milliseconds))
    yield Sample(f"{name}.stored", "orders/s", rate)


@contextmanager
def running_system(context: Context, template: Database) -> Iterator[System]:
    with ExitStack() as running:
        topic = running.enter_context(filled(context, dated_now(count=1, seed=_FIRST_SEED)))
        database = running.enter_context(copied(context, template.name))
        settings = {
            "ORDERS_KAFKA__BOOTSTRAP_SERVERS": context.bootstrap_servers,
            "ORDERS_KAFKA__TOPIC": topic.name,
            "ORDERS_KAFKA__DEAD_LETTER_TOPIC": topic.dead_letters,
            "ORDERS_KAFKA__GROUP_ID": topic.name,
            "ORDERS_POSTGRES__DSN": database.dsn,
        }
        services = [MeasuredService(context, mode, settings) for mode in ("consumer", "api")]
        for each in services:
            running.enter_context(each.process)
        for each in services:
            each.wait_until_ready()
        wait_until(lambda: database.stored() == topic.orders, "the first order to be stored", _STARTUP_TIMEOUT_SECONDS)
        yield System(context, topic, database, services[-1])


@contextmanager
def generating(system: System, load: int, seed: int) -> Iterator[None]:
    """Produce `load` orders per second until the block ends; yield once the orders of the first second are stored."""
    if not load:
        yield
        return
    arguments = ["service", "generate", "--count", "0", "--rate", str(load), "--seed", str(seed)]
    settings = {
        "ORDERS_KAFKA__BOOTSTRAP_SERVERS": system.context.bootstrap_servers,
        "ORDERS_KAFKA__TOPIC": system.topic.name,
    }
    with child(system.context, "orders generate", arguments, settings) as process:
        before = system.database.stored()
        wait_until(lambda: system.database.stored() > before + load, "the load to arrive", _STARTUP_TIMEOUT_SECONDS)
        yield
        process.require_alive()


def _probe_all(system: System, seed: int) -> Iterator[float]:
    """Yield the latencies in milliseconds of one probe after another, until there are enough or the time is up."""
    count = system.context.scaled(_PROBES, _MIN_PROBES)
    deadline = monotonic() + system.context.scaled(_MAX_LOAD_SECONDS, _MIN_LOAD_SECONDS)
    low_latency = {"linger.ms": 0, "acks": "all"}
    producer = Producer({"bootstrap.servers": system.context.bootstrap_servers, **QUIET, **low_latency})
    producer.list_topics(system.topic.name, timeout=_REQUEST_TIMEOUT_SECONDS)
    with closing(HTTPConnection(HOST, system.api.port, timeout=_REQUEST_TIMEOUT_SECONDS)) as connection:
        for probe in islice(stream(dated_now(count=0, seed=seed)), count):
            yield _probe(producer, system.topic.name, connection, probe) * 1_000
            if monotonic() > deadline:
                return


def _probe(producer: Producer, topic: str, connection: HTTPConnection, probe: Message) -> float:
    """Return the latency of one order in seconds. Raises ServerUnavailable if it does not arrive."""
    path, started_at = f"/orders/{probe.key.decode()}", monotonic()
    producer.produce(topic, probe.value, probe.key)
    while not _is_found(connection, path):
        producer.poll(0)
        if monotonic() - started_at > _PROBE_TIMEOUT_SECONDS:
            raise ServerUnavailable(f"timed out after {_PROBE_TIMEOUT_SECONDS:g} s waiting for an order at the API")
    return monotonic() - started_at


def _is_found(connection: HTTPConnection, path: str) -> bool:
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    return response.status == HTTPStatus.OK

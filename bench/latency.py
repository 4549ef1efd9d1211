"""How long a lone order takes from its producer until GET answers with it, on an idle system and beside others.

One consumer and one API, as users run them. A probe is an order that nobody knows yet: the time runs from before it is
handed to the producer until the API answers 200 to a client that asks without pause, on one connection.
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
from bench.processes import Service, await_that, child
from bench.topics import QUIET, Topic, filled
from generator.stream import Message, Plan, stream
from local.ports import HOST
from service.errors import ServerUnavailable

LOADS: Final = (0, 1_000, 5_000)
"""Orders a second that a generator offers beside the probes; ascending, for the last one may leave a backlog."""

_PROBES: Final = 300
_LEAST_PROBES: Final = 30
_LOAD_SECONDS: Final = 30
"""How long probes are sent under one load, if they are not through before."""
_LEAST_SECONDS: Final = 5
_PROBE_SECONDS: Final = 30.0
_START_SECONDS: Final = 30.0
_CALL_SECONDS: Final = 10.0
_FIRST_SEED, _PROBE_SEED, _LOAD_SEED = 10_000, 20_000, 30_000
"""Far enough from each other for every load and round to add its own number."""


class System(NamedTuple):
    """A consumer and an API on a topic and a database of their own."""

    context: Context
    topic: Topic
    database: Database
    api: Service


def measure(context: Context) -> Iterator[Sample]:
    """Yield 50th and 99th percentile under each load in each round, and what was really stored a second meanwhile."""
    with migrated(context) as template:
        for number in range(context.rounds):
            context.echo(f"latency: round {number + 1} of {context.rounds}")
            with _system(context, template) as system:
                for load in LOADS:
                    yield from _under(system, load, number)


def _under(system: System, load: int, number: int) -> Iterator[Sample]:
    name = f"latency.{load or 'idle'}"
    with _generator(system, load, _LOAD_SEED + load + number):
        stored, began = system.database.stored(), monotonic()
        milliseconds = sorted(_probe_all(system, _PROBE_SEED + load + number))
        rate = (system.database.stored() - stored) / (monotonic() - began)
    yield Sample(f"{name}.p50", "ms", percentile(milliseconds, 0.5))
    yield Sample(f"{name}.p99", "ms", percentile(milliseconds, 0.99))
    yield Sample(f"{name}.probes", "orders", len(milliseconds))
    yield Sample(f"{name}.stored", "orders/s", rate)


@contextmanager
def _system(context: Context, template: Database) -> Iterator[System]:
    with ExitStack() as running:
        topic = running.enter_context(filled(context, Plan(count=1, seed=_FIRST_SEED)))
        database = running.enter_context(copied(context, template.name))
        settings = {
            "ORDERS_KAFKA__BOOTSTRAP_SERVERS": context.bootstrap_servers,
            "ORDERS_KAFKA__TOPIC": topic.name,
            "ORDERS_KAFKA__DEAD_LETTER_TOPIC": topic.dead_letters,
            "ORDERS_KAFKA__GROUP_ID": topic.name,
            "ORDERS_POSTGRES__DSN": database.dsn,
        }
        services = [Service(context, mode, settings) for mode in ("consumer", "api")]
        for each in services:
            running.enter_context(each.process)
        for each in services:
            each.wait_until_ready()
        await_that(lambda: database.stored() == topic.orders, "the first order to be stored", _START_SECONDS)
        yield System(context, topic, database, services[-1])


@contextmanager
def _generator(system: System, load: int, seed: int) -> Iterator[None]:
    """Have `load` orders a second come beside the probes; yield when those of a second are stored."""
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
        await_that(lambda: system.database.stored() > before + load, "the load to arrive", _START_SECONDS)
        yield
        process.require_alive()


def _probe_all(system: System, seed: int) -> Iterator[float]:
    """Yield the milliseconds of one probe after the other, until there are enough or the time is over."""
    count = system.context.scaled(_PROBES, _LEAST_PROBES)
    over = monotonic() + system.context.scaled(_LOAD_SECONDS, _LEAST_SECONDS)
    at_once = {"linger.ms": 0, "acks": "all"}
    producer = Producer({"bootstrap.servers": system.context.bootstrap_servers, **QUIET, **at_once})
    producer.list_topics(system.topic.name, timeout=_CALL_SECONDS)
    with closing(HTTPConnection(HOST, system.api.port, timeout=_CALL_SECONDS)) as connection:
        for probe in islice(stream(Plan(count=0, seed=seed)), count):
            yield _probe(producer, system.topic.name, connection, probe) * 1_000
            if monotonic() > over:
                return


def _probe(producer: Producer, topic: str, connection: HTTPConnection, probe: Message) -> float:
    """Return the seconds that one order takes. Raises ServerUnavailable when it does not come."""
    path, began = f"/orders/{probe.key.decode()}", monotonic()
    producer.produce(topic, probe.value, probe.key)
    while not _is_there(connection, path):
        producer.poll(0)
        if monotonic() - began > _PROBE_SECONDS:
            raise ServerUnavailable(f"an order was not to be seen within {_PROBE_SECONDS:g} s")
    return monotonic() - began


def _is_there(connection: HTTPConnection, path: str) -> bool:
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    return answer.status == HTTPStatus.OK

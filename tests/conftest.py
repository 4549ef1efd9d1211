"""Fixtures for servers, topics, databases and processes."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import psycopg
import pytest

from local import broker, postgres
from tests.kit import partitions, pooler, processes, servers, temporary
from tests.kit.harness import Harness

CHOICE = pytest.StashKey[servers.Choice]()
SHARED_SERVERS = "shared_servers"
SHARED_SERVER_FIXTURES = {"kafka_server", "postgres_server"}
SERVER_FIXTURES = SHARED_SERVER_FIXTURES | {"own_kafka", "own_postgres"}

hypothesis.settings.register_profile("without deadline", deadline=None)  # a busy machine exceeds 200 ms
hypothesis.settings.load_profile("without deadline")


def pytest_configure(config: pytest.Config) -> None:
    # A shell ignores SIGINT in background jobs, and every process that tests start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A broker of a test lives too briefly for Java's optimizing compiler, which takes two seconds of CPU time of each.
    os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
    try:
        config.stash[CHOICE] = servers.choose(os.environ)
    except servers.ServersUnavailable as error:
        raise pytest.UsageError(str(error)) from None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if partitions.REQUESTED:
        plain = [item for item in items if item.get_closest_marker("plain_tables")]
        config.hook.pytest_deselected(items=plain)
        items[:] = [item for item in items if item not in plain]
    for item in items:
        names = getattr(item, "fixturenames", ())
        if SERVER_FIXTURES.intersection(names):
            item.add_marker("integration")
        if SHARED_SERVER_FIXTURES.intersection(names):
            item.add_marker(SHARED_SERVERS)


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    is_used = any(item.get_closest_marker(SHARED_SERVERS) for item in items)
    return _summary(config.stash[CHOICE]) if is_used else []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reports = (report for kind in terminalreporter.stats.values() for report in kind)
    if any(SHARED_SERVERS in getattr(report, "keywords", ()) for report in reports):
        terminalreporter.section("servers")
        for line in _summary(config.stash[CHOICE]):
            terminalreporter.line(line)


def _summary(choice: servers.Choice) -> list[str]:
    lines = [f"Kafka and PostgreSQL from: {choice.source.label}"]
    if choice.no_containers_because:
        lines.append(f"NOT RUN ON CONTAINERS, BUT ON LOCAL PROCESSES: {choice.no_containers_because.upper()}")
    if not pooler.PROGRAM:
        lines.append(f"NOT RUN: PGBOUNCER: {pooler.NOT_RUN.upper()}")
    return lines


@pytest.fixture(autouse=True)
def _restored_signal_handlers() -> Iterator[None]:
    """Restores the handlers of SIGINT and SIGTERM, which commands that run in this process replace."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def server_source(pytestconfig: pytest.Config) -> servers.Source:
    return pytestconfig.stash[CHOICE].source


@pytest.fixture(scope="session")
def kafka_server(server_source: servers.Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Kafka]:
    with servers.kafka(server_source, tmp_path_factory.mktemp("kafka")) as server:
        servers.warm_up_kafka(server.bootstrap_servers)
        yield server


@pytest.fixture(scope="session")
def postgres_server(
    server_source: servers.Source, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[servers.Postgres]:
    with servers.postgres(server_source, tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def topic(kafka_server: servers.Kafka) -> Iterator[str]:
    """Name of a new topic of three partitions, with `<topic>.dlq`."""
    with temporary.topic(kafka_server.bootstrap_servers) as name:
        yield name


@pytest.fixture(scope="session")
def migrated_template(postgres_server: servers.Postgres) -> Iterator[str]:
    """Name of a migrated database without connections. A copy takes a tenth of the time of a migration."""
    with temporary.database(postgres_server.dsn) as (name, dsn):
        partitions.create_tables(dsn, partitions.REQUESTED)
        yield name


@pytest.fixture
def database(postgres_server: servers.Postgres, migrated_template: str) -> Iterator[str]:
    """URL of a new migrated database."""
    with temporary.database(postgres_server.dsn, migrated_template) as (_, dsn):
        yield dsn


@pytest.fixture
def admin(database: str) -> Iterator[psycopg.Connection]:
    """A superuser connection to the database."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[broker.Broker]:
    """A broker that the test may stop, suspend and kill: always a local process."""
    with broker.kafka(tmp_path_factory.mktemp("own-kafka"), echo=print) as server:
        servers.warm_up_kafka(server.bootstrap_servers)
        yield server


@pytest.fixture
def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Postgres]:
    """A migrated PostgreSQL that the test may stop and kill: always a local process."""
    with postgres.postgres(tmp_path_factory.mktemp("own-postgres")) as server:
        partitions.create_tables(server.dsn, partitions.REQUESTED)
        yield server


@pytest.fixture
def settings(kafka_server: servers.Kafka, topic: str, database: str) -> dict[str, str]:
    """Environment of a process that uses the test's topic, group and database."""
    return servers.settings(kafka_server, topic, database)


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[processes.Spawn]:
    """`spawn("consumer", settings=…)` starts `python -m service consumer`, which is stopped at the end of the test.

    Its log is `tmp_path/<number>-<first argument>.log`.
    """
    with ExitStack() as running:

        def start(*arguments: str, settings: Mapping[str, str], module: str = "service") -> processes.Service:
            number = len(list(tmp_path.glob("*.log")))
            log = tmp_path / f"{number}-{'-'.join(arguments[:1])}.log"
            return running.enter_context(processes.started(arguments, settings, log, module))

        yield start


@pytest.fixture
def harness(
    kafka_server: servers.Kafka, topic: str, database: str, settings: dict[str, str], spawn: processes.Spawn
) -> Harness:
    """A topic, its dead-letter topic and a database for one test."""
    return Harness(kafka_server.bootstrap_servers, topic, database, settings, spawn)

"""The servers, topics, databases and processes that tests ask for."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from local import broker, postgres
from service.config import Migration
from service.repo.migrate import migrate
from tests import fresh, pooler, processes, servers
from tests.harness import Harness

CHOICE = pytest.StashKey[servers.Choice]()
OF_THE_TIER = "tiered"
OF_A_TIER = {"kafka_server", "postgres_server"}
NEEDS_SERVERS = OF_A_TIER | {"own_kafka", "own_postgres"}


def pytest_configure(config: pytest.Config) -> None:
    try:
        config.stash[CHOICE] = servers.choose(os.environ)
    except (servers.TierAway, ValueError) as refused:
        raise pytest.UsageError(str(refused)) from None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        names = getattr(item, "fixturenames", ())
        if NEEDS_SERVERS.intersection(names):
            item.add_marker("integration")
        if OF_A_TIER.intersection(names):
            item.add_marker(OF_THE_TIER)


def pytest_report_header(config: pytest.Config) -> list[str]:
    return _told(config.stash[CHOICE])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.section("servers")
    reports = (report for kind in terminalreporter.stats.values() for report in kind)
    is_used = any(OF_THE_TIER in getattr(report, "keywords", ()) for report in reports)
    unused = [] if is_used else ["no test asked for them"]
    for line in _told(config.stash[CHOICE]) + unused:
        terminalreporter.line(line)


def _told(choice: servers.Choice) -> list[str]:
    not_run = [f"NOT RUN: {choice.not_run.upper()}"] if choice.not_run else []
    no_pooler = [] if pooler.PROGRAM else [f"NOT RUN: PGBOUNCER: {pooler.NOT_RUN.upper()}"]
    return [f"Kafka and PostgreSQL from: {choice.tier}", *not_run, *no_pooler]


@pytest.fixture(scope="session")
def tier(pytestconfig: pytest.Config) -> servers.Tier:
    return pytestconfig.stash[CHOICE].tier


@pytest.fixture(scope="session")
def kafka_server(tier: servers.Tier, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Kafka]:
    with servers.kafka(tier, tmp_path_factory.mktemp("kafka")) as server:
        fresh.warm_up(server.bootstrap_servers)
        yield server


@pytest.fixture(scope="session")
def postgres_server(tier: servers.Tier, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Postgres]:
    with servers.postgres(tier, tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def topic(kafka_server: servers.Kafka) -> Iterator[str]:
    """Name of a fresh topic of three partitions; `<topic>.dlq` is there too."""
    with fresh.topic(kafka_server.bootstrap_servers) as name:
        yield name


@pytest.fixture(scope="session")
def migrated_template(postgres_server: servers.Postgres) -> Iterator[str]:
    """Name of a migrated database that nobody is connected to: copying it takes a tenth of migrating."""
    with fresh.database(postgres_server.dsn) as (name, dsn):
        migrate(dsn, Migration())
        yield name


@pytest.fixture
def database(postgres_server: servers.Postgres, migrated_template: str) -> Iterator[str]:
    """URL of a fresh migrated database."""
    with fresh.database(postgres_server.dsn, migrated_template) as (_, dsn):
        yield dsn


@pytest.fixture
def admin(database: str) -> Iterator[psycopg.Connection]:
    """A connection to that database, for a test to look with and to change things by hand."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[broker.Broker]:
    """A broker that the test may stop, freeze and kill: a process of this machine, whatever the tier."""
    with broker.kafka(tmp_path_factory.mktemp("own-kafka"), echo=print) as server:
        fresh.warm_up(server.bootstrap_servers)
        yield server


@pytest.fixture
def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Postgres]:
    """A PostgreSQL that the test may stop and kill, migrated: a process of this machine, whatever the tier."""
    with postgres.postgres(tmp_path_factory.mktemp("own-postgres")) as server:
        migrate(server.dsn, Migration())
        yield server


@pytest.fixture
def settings(kafka_server: servers.Kafka, topic: str, database: str) -> dict[str, str]:
    """Environment that points a process of `spawn` at the test's own topic, group and database."""
    return servers.settings(kafka_server, topic, database)


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[processes.Spawn]:
    """`spawn("consumer", settings=…)` starts `python -m service consumer`; the test's end stops what still runs.

    Logs are `tmp_path/<number>-<first argument>.log`. A Service can be waited for (`ready`), stopped and killed.
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
    """A topic, its dead-letter topic and a database of the test's own, for consumers to stand between."""
    return Harness(kafka_server.bootstrap_servers, topic, database, settings, spawn)

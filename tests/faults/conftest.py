"""Servers that scenarios may break, and the table of results.

ORDERS_CHAOS_SEEDS ("1 2 3") runs every scenario with these seeds, ORDERS_CHAOS_LONG=1 the extended scenarios.
ORDERS_CHAOS_TABLE=FILE writes the table into that file, between its markers.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest

from generator.formats import REGISTRY_FORMATS
from local import broker, postgres
from local.ports import HOST, free_port
from tests.faults.rotation import are_named, choice, commit_of, seed_of, third, turn_of
from tests.faults.table import Line, rendered, rendered_by_format, write_into
from tests.faults.topics import create_topics, delete_topics
from tests.faults.workload import Workload
from tests.kit import servers, temporary
from tests.kit.partitions import create_tables
from tests.kit.processes import Spawn
from tests.kit.proxy import Proxy, proxied

SEEDS = [int(seed) for seed in os.environ.get("ORDERS_CHAOS_SEEDS", "").split()]
IS_EXTENDED = os.environ.get("ORDERS_CHAOS_LONG") == "1"
TABLE = os.environ.get("ORDERS_CHAOS_TABLE")
SESSION_SECONDS = 6.0 if IS_EXTENDED else 3.0
"""The service's default; less where the scenarios are not extended, to save time."""
SHORT_SESSIONS = {
    "group.min.session.timeout.ms": "3000",
    "group.consumer.session.timeout.ms": f"{SESSION_SECONDS * 1_000:.0f}",
    "group.consumer.min.session.timeout.ms": "3000",
    "group.consumer.heartbeat.interval.ms": "1000",
    "group.consumer.min.heartbeat.interval.ms": "1000",
}
"""The group protocol `consumer` has these settings on the broker: 45 s and 5 s by default."""
SHORT_HEARTBEAT = '{"heartbeat.interval.ms": 500}'
"""A member learns of a rebalance by its heartbeat; every two seconds would be most of a scenario's time."""
FAST_DELETION = {"log.segment.delete.delay.ms": "1000"}
"""A broker that still has the topics of every scenario restarts slowly."""
WITH_ACLS = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
LINES = pytest.StashKey[list[Line]]()
ROTATION = pytest.StashKey[str]()
PARTITIONS = 4
"""Number of partitions of each table for even seeds."""
HERE = Path(__file__).parent


class Servers(NamedTuple):
    """Each proxy leads to the second listener of a server."""

    kafka: broker.Broker
    postgres: postgres.Postgres
    kafka_proxy: Proxy
    postgres_proxy: Proxy
    template: str
    """Name of the migrated database that scenarios copy."""
    partitioned_template: str
    """The same with partitioned tables."""


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LINES] = []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", _seeds(metafunc.config), ids=lambda seed: f"seed-{seed}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect all formats but one, and two thirds of the scenarios, unless all are requested or some are named."""
    scenarios = [item for item in items if item.path.parent == HERE]
    commit = _rotates_by(config)
    if commit is None or not scenarios:
        return
    chosen_format = choice(REGISTRY_FORMATS, commit)
    chosen = third([item for item in scenarios if _format_of(item) in {"", chosen_format}], turn_of(commit))
    deselected = [item for item in scenarios if item not in chosen]
    config.hook.pytest_deselected(items=deselected)
    items[:] = [item for item in items if item not in deselected]
    config.stash[ROTATION] = (
        f"third {turn_of(commit) + 1} of 3, format {chosen_format} and seed {seed_of(commit)}, selected by commit "
        f"{commit[:12]}: "
        f"{len(chosen)} of {len(scenarios)} scenarios run, {len(deselected)} are deselected (make chaos runs all)"
    )


def _seeds(config: pytest.Config) -> list[int]:
    commit = _rotates_by(config)
    return SEEDS or [seed_of(commit) if commit else 1]


def _rotates_by(config: pytest.Config) -> str | None:
    """Return the commit that selects scenarios and seed; None if all are requested or some are named."""
    return None if SEEDS or are_named(config.args, config.option.keyword) else commit_of(HERE)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if selection := config.stash.get(ROTATION, None):
        terminalreporter.section("faults")
        terminalreporter.line(selection)
    if lines := config.stash.get(LINES, []):
        table, formats = rendered(lines), rendered_by_format(lines)
        terminalreporter.section("fault scenarios")
        terminalreporter.write_line(f"{table}\n\n{formats}")
        if TABLE:
            write_into(Path(TABLE), table, "chaos")
            write_into(Path(TABLE), formats, "formats")


@pytest.fixture(scope="session")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Local processes, always."""
    port, second_port = free_port(), free_port()
    kafka_proxy = Proxy((HOST, second_port))
    properties = _proxied_listener(port, second_port, kafka_proxy.port)
    with (
        broker.kafka(tmp_path_factory.mktemp("kafka"), port=port, echo=print, properties=properties) as kafka,
        postgres.postgres(tmp_path_factory.mktemp("postgres")) as database,
        proxied(database.dsn) as (postgres_proxy, _),
        temporary.database(database.dsn) as (template, dsn),
        temporary.database(database.dsn) as (partitioned_template, partitioned_dsn),
    ):
        servers.warm_up_kafka(kafka.bootstrap_servers)
        create_tables(dsn, partitions=0)
        create_tables(partitioned_dsn, PARTITIONS)
        yield Servers(kafka, database, kafka_proxy, postgres_proxy, template, partitioned_template)
    kafka_proxy.close()


def _proxied_listener(port: int, second_port: int, proxy: int) -> dict[str, str]:
    """Return broker properties for a second listener that advertises the proxy's address."""
    controller = free_port()
    return (
        SHORT_SESSIONS
        | FAST_DELETION
        | WITH_ACLS
        | {
            "controller.quorum.voters": f"1@{HOST}:{controller}",
            "listeners": f"PLAINTEXT://{HOST}:{port},PROXIED://{HOST}:{second_port},CONTROLLER://{HOST}:{controller}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{port},PROXIED://{HOST}:{proxy}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
        }
    )


@pytest.fixture
def two_brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[broker.Broker, broker.Broker]]:
    """A cluster whose groups survive the loss of either broker. The first broker is also the controller."""
    folder = tmp_path_factory.mktemp
    first, second, controller = free_port(), free_port(), free_port()
    both = SHORT_SESSIONS | {
        "controller.quorum.voters": f"1@{HOST}:{controller}",
        "offsets.topic.replication.factor": "2",
        "transaction.state.log.replication.factor": "2",
    }
    leader = {"listeners": f"PLAINTEXT://{HOST}:{first},CONTROLLER://{HOST}:{controller}"}
    follower = {"process.roles": "broker", "node.id": "2", "listeners": f"PLAINTEXT://{HOST}:{second}"}
    with (
        broker.kafka(folder("first"), port=first, echo=print, properties=both | leader) as one,
        broker.kafka(folder("second"), port=second, echo=print, properties=both | follower) as two,
    ):
        yield one, two


@pytest.fixture
def workload(
    breakable: Servers, seed: int, spawn: Spawn, request: pytest.FixtureRequest, pytestconfig: pytest.Config
) -> Iterator[Workload]:
    """A topic of six partitions, a dead-letter topic, a group and a migrated database for one scenario.

    Even seeds run on partitioned tables.
    """
    name = f"orders-{uuid4().hex[:12]}"
    create_topics(breakable.kafka.bootstrap_servers, name, f"{name}.dlq")
    template = breakable.template if seed % 2 else breakable.partitioned_template
    with temporary.database(breakable.postgres.dsn, template) as (_, dsn):
        settings = {
            "ORDERS_KAFKA__BOOTSTRAP_SERVERS": breakable.kafka.bootstrap_servers,
            "ORDERS_KAFKA__TOPIC": name,
            "ORDERS_KAFKA__DEAD_LETTER_TOPIC": f"{name}.dlq",
            "ORDERS_KAFKA__GROUP_ID": name,
            "ORDERS_KAFKA__PROPERTIES": SHORT_HEARTBEAT,
            "ORDERS_KAFKA__SESSION_TIMEOUT": str(SESSION_SECONDS),
            "ORDERS_POSTGRES__DSN": dsn,
        }
        workload = Workload(
            scenario=_scenario_name(request.node), message_format=_format_of(request.node), seed=seed,
            is_extended=IS_EXTENDED, session_seconds=SESSION_SECONDS,
            kafka=breakable.kafka, postgres=breakable.postgres, kafka_proxy=breakable.kafka_proxy,
            postgres_proxy=breakable.postgres_proxy, settings=settings, spawn=spawn, table=pytestconfig.stash[LINES],
        )  # fmt: skip
        yield workload
        workload.close()
        delete_topics(breakable.kafka.bootstrap_servers, *workload.order_topics, f"{name}.dlq")


def _scenario_name(item: pytest.Function) -> str:
    """Return a test's name and its parameters but the format, in words."""
    name = item.name.partition("[")[0].removeprefix("test_").replace("_", " ")
    if _format_of(item):
        return name
    variant = item.callspec.id.partition(f"seed-{item.callspec.params['seed']}")
    return f"{name} {' '.join(part.strip('-') for part in variant if 'seed' not in part)}".strip()


def _format_of(item: pytest.Item) -> str:
    """Return the format of a scenario that runs with each; empty if it mixes formats."""
    return str(item.callspec.params.get("message_format", "")) if isinstance(item, pytest.Function) else ""

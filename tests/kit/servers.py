"""Provides Kafka and PostgreSQL: servers at given addresses, otherwise containers, otherwise local processes."""

import gc
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import docker  # type: ignore[import-untyped]
import pytest
from confluent_kafka import Consumer, Producer
from docker.errors import DockerException, ImageNotFound  # type: ignore[import-untyped]
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from local import broker
from local import postgres as postgres_processes
from tests.kit import temporary
from tests.kit.waiting import eventually

KAFKA_IMAGE = "apache/kafka:4.3.1"
POSTGRES_IMAGE = "postgres:17"
KAFKA_START_SECONDS = 90  # 4 s on an idle machine, 17 s on a loaded one
FIRST_USE_SECONDS = 60.0
JOIN_TIMEOUT_SECONDS = 15.0  # 4 s on an idle machine, half of it pauses of librdkafka

KAFKA_ADDRESS = "ORDERS_TEST_BOOTSTRAP_SERVERS"
POSTGRES_ADDRESS = "ORDERS_TEST_DSN"
REQUESTED_SOURCE = "ORDERS_TEST_SERVERS"
NO_ENGINE = "no Docker engine responds"
ENGINE_LOST = (
    "the Docker engine stopped responding after this run had chosen containers: "
    f"restart it, or set {REQUESTED_SOURCE}=processes to use local processes"
)


class Source(StrEnum):
    """Sources of Kafka and PostgreSQL: the values of ORDERS_TEST_SERVERS."""

    GIVEN = "given"
    CONTAINERS = "containers"
    PROCESSES = "processes"

    @property
    def label(self) -> str:
        return {"given": "given addresses", "containers": "containers", "processes": "local processes"}[self]


class ServersUnavailable(Exception):
    """The requested source of servers is unknown or unavailable."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The source of this run's servers."""

    source: Source
    no_containers_because: str | None = None
    """Why local processes replace containers."""


@dataclass(frozen=True, slots=True)
class Kafka:
    bootstrap_servers: str


@dataclass(frozen=True, slots=True)
class Postgres:
    dsn: str
    """URL of a database from which others can be created."""


_Server = TypeVar("_Server", Kafka, Postgres)


def choose(environ: Mapping[str, str]) -> Choice:
    """Return the requested source, otherwise containers if a Docker engine responds, otherwise local processes.

    Raises ServersUnavailable if a source is requested by its name or by an address and is unknown or unavailable.
    """
    if REQUESTED_SOURCE in environ:
        return _requested(_parse(environ[REQUESTED_SOURCE]), environ)
    if KAFKA_ADDRESS in environ or POSTGRES_ADDRESS in environ:
        return _requested(Source.GIVEN, environ)
    obstacle = _engine_obstacle()
    return Choice(Source.PROCESSES, obstacle) if obstacle else Choice(Source.CONTAINERS)


def _parse(name: str) -> Source:
    if name not in [*Source]:
        raise ServersUnavailable(f"{REQUESTED_SOURCE}={name} is invalid. Allowed values: {', '.join(Source)}")
    return Source(name)


def _requested(source: Source, environ: Mapping[str, str]) -> Choice:
    obstacle = _obstacle(source, environ)
    if obstacle:
        raise ServersUnavailable(f"{REQUESTED_SOURCE}={source} is not possible: {obstacle}")
    return Choice(source)


def _obstacle(source: Source, environ: Mapping[str, str]) -> str | None:
    match source:
        case Source.GIVEN:
            return _address_obstacle(environ)
        case Source.CONTAINERS:
            return _engine_obstacle()
        case Source.PROCESSES:
            return None


def _address_obstacle(environ: Mapping[str, str]) -> str | None:
    missing = [name for name in (KAFKA_ADDRESS, POSTGRES_ADDRESS) if name not in environ]
    return f"{' and '.join(missing)} is not set" if missing else None


def _engine_obstacle() -> str | None:
    try:
        absent = _absent_images()
    except (DockerException, OSError):
        absent = None
    if absent is None:
        _collect_docker_socket()
        return NO_ENGINE
    return f"{' and '.join(absent)} cannot be pulled" if absent else None


def _absent_images() -> list[str]:
    with closing(docker.from_env()) as engine:
        engine.ping()
        return [image for image in (KAFKA_IMAGE, POSTGRES_IMAGE) if not _available(engine, image)]


def _collect_docker_socket() -> None:
    """Collect the socket that could not connect, whose ResourceWarning would otherwise fail an unrelated test."""
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        gc.collect()


def _available(engine: docker.DockerClient, image: str) -> bool:
    try:
        engine.images.get(image)
    except ImageNotFound:
        return _pullable(engine, image)
    return True


def _pullable(engine: docker.DockerClient, image: str) -> bool:
    try:
        engine.images.get_registry_data(image)
    except DockerException:
        return False
    return True


def kafka(source: Source, folder: Path) -> AbstractContextManager[Kafka]:
    match source:
        case Source.GIVEN:
            return nullcontext(Kafka(os.environ[KAFKA_ADDRESS]))
        case Source.CONTAINERS:
            return _on_engine(_kafka_container)
        case Source.PROCESSES:
            return _kafka_process(folder)


def postgres(source: Source, folder: Path) -> AbstractContextManager[Postgres]:
    match source:
        case Source.GIVEN:
            return nullcontext(Postgres(os.environ[POSTGRES_ADDRESS]))
        case Source.CONTAINERS:
            return _on_engine(_postgres_container)
        case Source.PROCESSES:
            return _postgres_process(folder)


def settings(kafka: Kafka, topic: str, dsn: str) -> dict[str, str]:
    """Return the environment of a process that uses a topic, a group of the same name, and a database."""
    return {
        "ORDERS_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "ORDERS_KAFKA__TOPIC": topic,
        "ORDERS_KAFKA__DEAD_LETTER_TOPIC": f"{topic}.dlq",
        "ORDERS_KAFKA__GROUP_ID": topic,
        "ORDERS_POSTGRES__DSN": dsn,
    }


def warm_up_kafka(bootstrap_servers: str) -> None:
    """Block until the broker has served its first idempotent producer and its first group, which takes 1 to 3 s."""
    with temporary.topic(bootstrap_servers) as name:
        producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True})
        producer.produce(name, b"warm-up")
        assert producer.flush(FIRST_USE_SECONDS) == 0, "the broker did not acknowledge a message"
        eventually(lambda: _is_read(bootstrap_servers, name), FIRST_USE_SECONDS, "a group reads a message")


def _is_read(bootstrap_servers: str, topic: str) -> bool:
    """Read one message in a new group, because a join that is lost during the broker's start may wait for ever."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": f"warm-up-{uuid4().hex}",
            "auto.offset.reset": "earliest",
            "session.timeout.ms": 6_000,
        }
    )
    with closing(consumer):
        consumer.subscribe([topic])
        message = consumer.poll(JOIN_TIMEOUT_SECONDS)
        return message is not None and message.error() is None


@contextmanager
def _on_engine(run_container: Callable[[], AbstractContextManager[_Server]]) -> Iterator[_Server]:
    """Run a container. If the engine stops responding, fail with one line instead of the client's tracebacks."""
    try:
        with run_container() as server:
            yield server
    except (DockerException, OSError):
        if _engine_obstacle() != NO_ENGINE:
            raise
    else:
        return
    _collect_docker_socket()  # after the handler, because its exception refers to the client
    pytest.fail(ENGINE_LOST, pytrace=False)


@contextmanager
def _kafka_container() -> Iterator[Kafka]:
    """Run a broker on a port that the engine chooses. It starts once it knows which port to advertise."""
    _without_reaper()
    container = (
        DockerContainer(KAFKA_IMAGE)
        .with_exposed_ports(9092)
        .with_envs(
            KAFKA_NODE_ID="1",
            KAFKA_PROCESS_ROLES="broker,controller",
            KAFKA_LISTENERS="CLIENTS://:9092,BROKER://:9093,CONTROLLER://:9094",
            KAFKA_LISTENER_SECURITY_PROTOCOL_MAP="CLIENTS:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
            KAFKA_INTER_BROKER_LISTENER_NAME="BROKER",
            KAFKA_CONTROLLER_LISTENER_NAMES="CONTROLLER",
            KAFKA_CONTROLLER_QUORUM_VOTERS="1@localhost:9094",
            KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS="4",
            KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR="1",
            KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS="4",
            KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR="1",
            KAFKA_TRANSACTION_STATE_LOG_MIN_ISR="1",
            KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS="0",
        )
        .with_command(["bash", "-c", "until [ -s /tmp/start ]; do sleep 0.1; done; . /tmp/start"])
    )
    with container:
        address = f"{container.get_container_host_ip()}:{container.get_exposed_port(9092)}"
        advertised = f"CLIENTS://{address},BROKER://localhost:9093"
        start = f"export KAFKA_ADVERTISED_LISTENERS={advertised}; exec /etc/kafka/docker/run"
        container.exec(["bash", "-c", f"echo '{start}' >/tmp/start.part && mv /tmp/start.part /tmp/start"])
        LogMessageWaitStrategy("Kafka Server started").with_startup_timeout(KAFKA_START_SECONDS).wait_until_ready(
            container
        )
        yield Kafka(address)


@contextmanager
def _postgres_container() -> Iterator[Postgres]:
    _without_reaper()
    with PostgresContainer(POSTGRES_IMAGE, driver=None) as container:
        yield Postgres(container.get_connection_url())


def _without_reaper() -> None:
    """Fixtures remove their containers, and the reaper's image cannot be pulled everywhere."""
    testcontainers_config.ryuk_disabled = True


@contextmanager
def _kafka_process(folder: Path) -> Iterator[Kafka]:
    with broker.kafka(folder, echo=print) as running:
        yield Kafka(running.bootstrap_servers)


@contextmanager
def _postgres_process(folder: Path) -> Iterator[Postgres]:
    with postgres_processes.postgres(folder) as running:
        yield Postgres(running.dsn)

"""Fixtures of tests that use Kafka and PostgreSQL."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.config import KafkaSettings, PostgresSettings, Settings
from service.repo.writer.order_store import PostgresOrderStore
from tests.kit import servers
from tests.kit.api_process import NO_KAFKA
from tests.kit.blocked import Background
from tests.kit.processes import Service, Spawn
from tests.kit.stores import writing


@pytest.fixture
def background() -> Iterator[Background]:
    """Runs a call in another thread, and waits for it at the end of the test."""
    with ThreadPoolExecutor() as threads:
        yield threads.submit


@pytest.fixture
def writer(database: str) -> Iterator[PostgresOrderStore]:
    with writing(database) as opened:
        yield opened


@pytest.fixture
def kafka(kafka_server: servers.Kafka, topic: str) -> KafkaSettings:
    """The test's topic, its dead-letter topic, and a group."""
    return KafkaSettings(
        bootstrap_servers=kafka_server.bootstrap_servers,
        topic=topic,
        dead_letter_topic=f"{topic}.dlq",
        group_id=topic,
    )


@pytest.fixture
def both_settings(kafka: KafkaSettings, database: str) -> Settings:
    return Settings(kafka=kafka, postgres=PostgresSettings(dsn=database))


@pytest.fixture
def api_settings(database: str) -> dict[str, str]:
    """Environment of an API without Kafka."""
    return {"ORDERS_POSTGRES__DSN": database, **NO_KAFKA}


@pytest.fixture
def api(spawn: Spawn, api_settings: dict[str, str]) -> Service:
    return spawn("api", settings=api_settings).ready()

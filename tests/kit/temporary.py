"""Temporary topics and databases on running servers."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    OffsetSpec,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic
from psycopg.sql import SQL, Composed, Identifier

from tests.kit.waiting import eventually

PARTITIONS = 3
TOPIC_CONFIG = {"retention.ms": "-1"}
"""Without unlimited retention the broker deletes records with old timestamps."""
ADMIN_SECONDS = 30.0


@contextmanager
def topic(bootstrap_servers: str) -> Iterator[str]:
    """Yield the name of a new topic of three partitions, with `<name>.dlq`; both are deleted at the end."""
    name = f"orders-{uuid4().hex[:12]}"
    with topics(bootstrap_servers, name, f"{name}.dlq"):
        yield name


@contextmanager
def topics(bootstrap_servers: str, *names: str) -> Iterator[None]:
    """Create topics of three partitions, and delete them at the end."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    new = [NewTopic(each, PARTITIONS, replication_factor=1, config=TOPIC_CONFIG) for each in names]
    _done(admin.create_topics(new))
    eventually(lambda: _are_led(admin, names), ADMIN_SECONDS, ", ".join(names))
    yield
    _done(admin.delete_topics([*names]))


def configure_topic(bootstrap_servers: str, name: str, config: Mapping[str, object]) -> None:
    """Set these properties of a topic."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    entries = [
        ConfigEntry(option, str(value), incremental_operation=AlterConfigOpType.SET) for option, value in config.items()
    ]
    _done(admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)]))


def _are_led(admin: AdminClient, topics: Sequence[str]) -> bool:
    """Return whether each leader responds; metadata may name a leader before it knows that it is one."""
    if not set(topics) <= admin.list_topics(timeout=ADMIN_SECONDS).topics.keys():
        return False
    partitions = [TopicPartition(name, partition) for name in topics for partition in range(PARTITIONS)]
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    try:
        _done(admin.list_offsets(dict.fromkeys(partitions, latest), request_timeout=ADMIN_SECONDS))
    except KafkaException:
        return False
    return True


def _done(requests: Mapping[Any, Future[Any]]) -> None:
    for request in requests.values():
        request.result(ADMIN_SECONDS)


@contextmanager
def database(admin_url: str, template: str = "template1") -> Iterator[tuple[str, str]]:
    """Yield name and URL of a new copy of `template`, which must have no connections; it is dropped at the end."""
    name = f"orders_{uuid4().hex[:12]}"
    _administer(admin_url, SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(template)))
    yield name, urlsplit(admin_url)._replace(path=f"/{name}").geturl()
    _administer(admin_url, SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def _administer(admin_url: str, statement: Composed) -> None:
    """Use a new connection, because the server may have been restarted."""
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(statement)

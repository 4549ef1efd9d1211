"""Helpers for tests of consumer processes: messages, offsets, stored rows and locks."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.kit.factories import Document
from tests.kit.harness import Harness, Sent, metric, orders
from tests.kit.processes import Service
from tests.kit.temporary import PARTITIONS
from tests.kit.waiting import eventually

TABLES = ("orders", "deliveries", "payments", "items")
PROTOCOLS = pytest.mark.parametrize("protocol", ["classic", "consumer"])
JOIN_SECONDS = 30.0  # 3 s on an idle machine; with the protocol `consumer` a heartbeat of 5 s more


def assigned(service: Service) -> Service:
    """Block until the consumer has partitions."""
    eventually(lambda: metric(service, "orders_rebalances_total", kind="assigned") > 0, JOIN_SECONDS, "an assignment")
    return service


def rows(harness: Harness) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all tables, each with the transaction that wrote it."""
    return {table: harness.query(f"SELECT t.*, xmin::text FROM {table} t ORDER BY 1, 2") for table in TABLES}  # noqa: S608


def uids(sent: Sequence[Sent]) -> set[str]:
    return {message.key.decode() for message in sent if message.key}


def spread(documents: Sequence[Document]) -> list[Sent]:
    return [message for number in range(PARTITIONS) for message in orders(documents[number::PARTITIONS], number)]


def ends(sent: Sequence[Sent]) -> dict[int, int]:
    """Return the offsets to be committed once all these messages, the topic's first, are processed."""
    partitions = [each.partition for each in sent]
    return {partition: partitions.count(partition) for partition in partitions}


def commit(harness: Harness, offsets: Mapping[int, int]) -> None:
    """Commit offsets for the group, which must have no members."""
    client = Consumer({"bootstrap.servers": harness.bootstrap_servers, "group.id": harness.topic})
    places = [TopicPartition(harness.topic, partition, offset) for partition, offset in offsets.items()]
    client.commit(offsets=places, asynchronous=False)
    client.close()


@contextmanager
def table_locked(harness: Harness) -> Iterator[None]:
    """Lock the table against writes within the block."""
    with psycopg.connect(harness.database) as connection:
        connection.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        yield


def wait_for_blocked_batch(harness: Harness) -> None:
    """Block until a transaction waits for the lock."""
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    eventually(lambda: harness.query(waiting), what="a batch waits for the lock")

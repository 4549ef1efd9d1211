"""Runs `orders erase` in the process of the test, and shows its effects."""

import argparse
from collections.abc import Sequence

import psycopg
from confluent_kafka import Producer

from service.app.commands.erase import command as erase
from service.config import Settings
from service.handler.kafka.client import properties
from service.pkg.shutdown_event import ShutdownEvent
from tests.kit import stores
from tests.kit.factories import versioned
from tests.kit.harness import TIMEOUT_SECONDS, Sent


def run(settings: Settings, *arguments: str, stop: ShutdownEvent | None = None) -> int:
    """Run `orders erase ARGUMENTS` in this process and return its exit code."""
    parser = argparse.ArgumentParser()
    erase.add_arguments(parser)
    return erase.run(parser.parse_args(arguments), settings, stop or ShutdownEvent())


def produce(settings: Settings, records: Sequence[Sent], topic: str = "") -> None:
    """Produce to a topic, by default the dead-letter topic."""
    producer = Producer(properties.producer(settings.kafka))
    for each in records:
        producer.produce(
            topic or settings.kafka.dead_letter_topic, each.value, each.key, each.partition, headers=[*each.headers]
        )
    assert producer.flush(TIMEOUT_SECONDS) == 0


def erased(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        return len(connection.execute("SELECT FROM erased").fetchall())


def store(settings: Settings, *uids: str) -> None:
    stores.store(settings.postgres.dsn, *(versioned(order_uid=uid) for uid in uids))


def stored(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        return {uid for (uid,) in connection.execute("SELECT order_uid FROM orders")}

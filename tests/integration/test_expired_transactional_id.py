"""Kafka forgets a transactional id that was not used for a week, or for `transactional.id.expiration.ms`."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from local import broker
from tests.kit import servers, temporary
from tests.kit.consumers import uids
from tests.kit.factories import order_document
from tests.kit.harness import Harness, Sent, orders
from tests.kit.processes import Spawn
from tests.kit.waiting import eventually

STATE_TOPIC, STATE_PARTITIONS = "__transaction_state", 4
EXPIRATION = {
    "transactional.id.expiration.ms": "1000",
    "transaction.remove.expired.transaction.cleanup.interval.ms": "500",
}
TIMEOUT_SECONDS = 30.0


@pytest.fixture
def harness(tmp_path: Path, database: str, spawn: Spawn) -> Iterator[Harness]:
    with broker.kafka(tmp_path / "kafka", echo=print, properties=EXPIRATION) as running:
        address = running.bootstrap_servers
        servers.warm_up_kafka(address)
        with temporary.topic(address) as topic:
            yield Harness(address, topic, database, servers.settings(servers.Kafka(address), topic, database), spawn)


def test_a_consumer_continues_after_its_transactional_id_has_expired(harness: Harness) -> None:
    harness.consumer(ORDERS_DEAD_LETTERS__EXACTLY_ONCE="true")
    first, second = (orders([order_document()]) for _ in range(2))
    harness.produce(*first)
    harness.wait_committed({0: 1})
    wait_for_expiration(harness)
    harness.produce(*second, Sent(b"not an order"))
    harness.wait_stored(uids([*first, *second]))
    harness.wait_committed({0: 3})
    assert [each.value() for each in harness.dead_letters()] == [b"not an order"]


def wait_for_expiration(harness: Harness) -> None:
    """Block until Kafka has deleted a transactional id, for which it writes a tombstone."""
    reader = Consumer(
        {"bootstrap.servers": harness.bootstrap_servers, "group.id": "state", "enable.auto.commit": False}
    )
    with closing(reader):
        reader.assign([TopicPartition(STATE_TOPIC, number, 0) for number in range(STATE_PARTITIONS)])
        eventually(lambda: is_tombstone(reader), TIMEOUT_SECONDS, "the transactional id expires")


def is_tombstone(reader: Consumer) -> bool:
    message = reader.poll(1)
    return message is not None and message.error() is None and message.value() is None

"""The lag of a group whose broker returns no topic id."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from local import broker
from service.entities.subscription import Subscription
from service.handler.kafka.client.group_lag import GroupLag
from service.handler.kafka.client.topic_id import offsets_to_commit
from service.usecases.ports.stats import PartitionDepth
from tests.kit.order_partitions import P0, keyed

TOPIC = "orders"


@pytest.fixture
def client() -> Iterator[dict[str, Any]]:
    """Yield the properties of clients of a broker that returns no topic ids."""
    with broker.mock([TOPIC, "orders.dlq"]) as server:
        yield {"bootstrap.servers": server.bootstrap_servers}


def produce(client: dict[str, Any], topic: str, count: int) -> None:
    producer = Producer(client)
    for _ in range(count):
        producer.produce(topic, b"", partition=0)
    assert producer.flush(10) == 0


def commit(client: dict[str, Any], offsets: list[TopicPartition]) -> None:
    consumer = Consumer(client | {"group.id": "orders"})
    consumer.commit(offsets=offsets, asynchronous=False)
    consumer.close()


def test_commits_without_a_topic_id_count_although_the_broker_does_not_return_the_id(client: dict[str, Any]) -> None:
    produce(client, TOPIC, 5)
    produce(client, "orders.dlq", 2)
    commit(client, offsets_to_commit(keyed({0: 3}), {}, {}))
    group = partial(Consumer, client | {"group.id": "orders", "enable.auto.commit": False})
    lag = GroupLag(
        partial(AdminClient, client), group, subscription=Subscription((TOPIC,)), dead_letter_topic="orders.dlq"
    )
    depths = lag.read()
    assert (depths.partitions[P0], depths.lag, depths.dead_letters) == (PartitionDepth(3, 2), 2, 2)

"""Offsets that Kafka cannot return, and topics without an id."""

from collections.abc import Callable
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient

from local import broker
from service.errors import KafkaRequestFailed
from service.handler.kafka.client import topic_reader
from service.handler.kafka.client.topic_id import NO_TOPIC_ID
from service.handler.kafka.client.topic_reader import TopicReader, open_committable_topic


class FailingConsumer:
    """Kafka cannot return the offset of partition 1."""

    def committed(self, partitions: list[TopicPartition], **_: float) -> list[Any]:
        error = KafkaError(KafkaError.NOT_COORDINATOR)
        return [partitions[0], SimpleNamespace(partition=1, offset=OFFSET_INVALID, error=error)]

    offsets_for_times = committed


@pytest.mark.parametrize("query", [TopicReader.committed, lambda topic: topic.offsets_at(1)])
def test_an_offset_that_kafka_cannot_return_is_an_error(query: Callable[[TopicReader], object]) -> None:
    consumer: Any = FailingConsumer()
    topic = TopicReader(consumer, "orders", NO_TOPIC_ID, starts={0: 0, 1: 0}, ends={0: 9, 1: 9})
    with pytest.raises(KafkaRequestFailed, match="coordinator"):
        query(topic)


def test_a_broker_without_topic_ids_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_reader, "READ_CALL_TIMEOUT_SECONDS", 2.0)
    with broker.mock(["orders"]) as server:
        client: dict[str, Any] = {"bootstrap.servers": server.bootstrap_servers, "group.id": "orders"}
        admin = AdminClient(client)
        with closing(Consumer(client)) as consumer, pytest.raises(KafkaRequestFailed) as raised:
            open_committable_topic(consumer, "orders", admin)
    assert str(raised.value) == (
        "cannot commit offsets of orders: the broker does not return the topic's id (a simulated one has none)"
    )

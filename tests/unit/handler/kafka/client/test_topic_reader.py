"""Offsets that Kafka cannot return, and topics without an id."""

from collections import deque
from collections.abc import Callable
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from local import broker
from service.errors import KafkaRequestFailed
from service.handler.kafka.client import topic_reader
from service.handler.kafka.client.topic_id import NO_TOPIC_ID
from service.handler.kafka.client.topic_reader import TopicReader, open_committable_topic
from tests.kit.fake_consumer import TOPIC, message


class ScriptedConsumer:
    """Returns these messages one by one; None means that none arrives within the timeout."""

    def __init__(self, *messages: Message | None) -> None:
        self._messages = deque(messages)
        self.assigned: list[TopicPartition] = []

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.assigned = partitions

    def poll(self, _: float) -> Message | None:
        return self._messages.popleft()


def read(consumer: ScriptedConsumer, starts: dict[int, int], ends: dict[int, int]) -> list[tuple[int, int]]:
    """Return partition and offset of the records from `starts` to `ends`."""
    client: Any = consumer
    topic = TopicReader(client, TOPIC, NO_TOPIC_ID, starts=starts, ends=ends)
    return [(each.partition, each.offset) for each in topic.read(starts, lambda: False)]


def end_of(partition: int, offset: int) -> Message:
    return message(partition, offset, error=KafkaError(KafkaError._PARTITION_EOF))


def test_a_partition_is_read_until_its_last_offset_arrives() -> None:
    consumer = ScriptedConsumer(message(0, 0), None, message(1, 4), message(0, 1))
    assert read(consumer, {0: 0, 1: 4, 2: 3}, {0: 2, 1: 5, 2: 3}) == [(0, 0), (1, 4), (0, 1)]
    assert {each.partition for each in consumer.assigned} == {0, 1}


def test_a_partition_is_read_until_its_end_if_its_last_offset_is_no_message() -> None:
    assert read(ScriptedConsumer(message(0, 0), end_of(0, 3)), {0: 0}, {0: 3}) == [(0, 0)]


@pytest.mark.parametrize("later", [3, 7])
def test_messages_that_arrived_later_are_not_read(later: int) -> None:
    assert read(ScriptedConsumer(message(0, 0), message(0, later)), {0: 0}, {0: 3}) == [(0, 0)]


def test_a_batch_that_cannot_be_decompressed_is_named_with_what_to_do() -> None:
    broken = message(1, 2, error=KafkaError(KafkaError._BAD_COMPRESSION))
    with pytest.raises(KafkaRequestFailed) as raised:
        read(ScriptedConsumer(broken), {1: 0}, {1: 9})
    assert str(raised.value) == (
        f"cannot read {TOPIC}, partition 1, offset 2: the batch cannot be decompressed; "
        "raise receive.message.max.bytes in ORDERS_KAFKA__PROPERTIES"
    )


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

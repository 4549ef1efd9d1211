"""What is read of a batch, on librdkafka's mock cluster."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from msgspec.json import decode

from local import broker
from service.config import KafkaSettings
from service.errors import KafkaRequestFailed
from service.handler.kafka.client import properties, topic_reader
from service.handler.kafka.client.topic_reader import open_topic, poll_messages
from service.handler.kafka.operations.unreadable_batches import UnreadableRecordBatches
from service.usecases.ports.operations import UnreadableRecordBatch

TIMEOUT_SECONDS = 10.0


@pytest.fixture
def client() -> Iterator[Any]:
    """Yield a client of a Kafka with five messages."""
    with broker.mock(["orders"]) as server:
        kafka = KafkaSettings(bootstrap_servers=server.bootstrap_servers)
        producer = Producer(properties.producer(kafka))
        for number in range(5):
            producer.produce("orders", b"%d" % number, partition=0)
        assert producer.flush(TIMEOUT_SECONDS) == 0
        with closing(Consumer(properties.silent_consumer(kafka))) as consumer:
            yield consumer


@pytest.mark.parametrize("batch", [UnreadableRecordBatch(0, 1, 4), UnreadableRecordBatch(0, 0, 5)], ids=str)
def test_exactly_the_messages_of_the_batch_are_read(client: Any, batch: UnreadableRecordBatch) -> None:
    batches = UnreadableRecordBatches(client, client, client, open_topic(client, "orders"))
    assert [decode(line)["offset"] for line in batches.lines(batch)] == [*range(batch.begin, batch.end)]


def test_a_read_without_a_message_times_out(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_reader, "_IDLE_TIMEOUT_SECONDS", 0)
    with pytest.raises(KafkaRequestFailed, match="no message for 0 s"):
        next(poll_messages(client))

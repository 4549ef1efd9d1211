"""A topic is opened for commits only with its id."""

from contextlib import closing
from typing import Any

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient

from local import broker
from service.errors import KafkaRequestFailed
from service.handler.kafka.client import topic_reader
from service.handler.kafka.client.topic_reader import open_committable_topic


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

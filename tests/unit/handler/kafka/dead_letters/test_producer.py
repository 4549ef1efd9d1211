"""Dead letters that Kafka does not acknowledge are not lost, and their producer is replaced."""

from typing import Any

import pytest
from confluent_kafka import Producer

from local.broker import mock
from service.entities.dead_letter import DeadLetter, Reason
from service.entities.record import Record
from service.errors import DeadLettersUnavailable
from service.handler.kafka.dead_letters import delivery
from service.handler.kafka.dead_letters import producer as dead_letters
from service.handler.kafka.dead_letters.encoder import DeadLetterEncoder
from service.handler.kafka.dead_letters.producer import DeadLetterProducer
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.batch import Batch

LETTER = DeadLetter(Record("orders", 0, 7, 1_000, b"key", b"faulty", []), Reason.INVALID, "sm_id: is missing")
NO_BROKER = "127.0.0.1:1"


def test_a_producer_whose_messages_time_out_is_replaced_and_its_dead_letters_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dead_letters, "_DELIVERY_TIMEOUT_MS", 200)
    with mock(["orders.dlq"]) as broker:
        servers = iter([NO_BROKER, broker.bootstrap_servers])

        def produced(properties: dict[str, Any], **_: Any) -> Producer:
            return Producer({**properties, "bootstrap.servers": next(servers), "log_level": 0})

        monkeypatch.setattr(delivery, "Producer", produced)
        producer = DeadLetterProducer(dict, "orders.dlq", DeadLetterEncoder("orders"), ShutdownEvent())
        with pytest.raises(DeadLettersUnavailable) as refusal:
            producer.send_and_commit(Batch(), [LETTER])
        assert refusal.value.unsent == [LETTER]
        producer.send_and_commit(Batch(), refusal.value.unsent)
    assert next(servers, None) is None

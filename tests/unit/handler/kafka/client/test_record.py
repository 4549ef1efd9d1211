"""The position of what a poll returns: a message, or an error."""

import pytest
from confluent_kafka import OFFSET_INVALID, KafkaError, Message

from service.handler.kafka.client.record import NO_PARTITION, position_of, record_of
from tests.kit.fake_consumer import TIMESTAMP_MS, TOPIC, message


@pytest.mark.parametrize(("partition", "offset"), [(0, 0), (3, 7)])
def test_a_message_has_a_position(partition: int, offset: int) -> None:
    assert position_of(message(partition, offset)) == ((TOPIC, partition), offset)


def test_an_error_of_no_partition_has_neither_partition_nor_offset() -> None:
    failed = Message(None, NO_PARTITION, OFFSET_INVALID, error=KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert position_of(failed) == (("", NO_PARTITION), OFFSET_INVALID)


def test_a_record_has_the_fields_of_its_message() -> None:
    assert record_of(message(1, 2, b"value", leader_epoch=4)) == (TOPIC, 1, 2, TIMESTAMP_MS + 2, None, b"value", [], 4)

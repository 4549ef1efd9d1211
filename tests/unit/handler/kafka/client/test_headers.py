"""Headers as the client library gives them, and those that it cannot give."""

from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from local import broker
from service.handler.kafka.client.headers import headers_of
from tests.kit.raw_producer import produce_with_header

HEADERS = [("twice", b"1"), ("twice", b"\xff\x00"), ("null", None), ("", b"")]
TOPIC = "headers"
MANY = 100
"""After so many calls the interpreter has optimized the place where they are made."""


@pytest.fixture
def bootstrap_servers() -> Iterator[str]:
    with broker.mock([TOPIC]) as server:
        yield server.bootstrap_servers


def messages(bootstrap_servers: str, count: int) -> list[Message]:
    reader = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "reader"})
    reader.assign([TopicPartition(TOPIC, 0, 0)])
    found: list[Message] = []
    while len(found) < count:
        message = reader.poll(10)
        assert message is not None
        assert message.error() is None
        found.append(message)
    reader.close()
    return found


def test_headers_are_unchanged_and_none_if_a_name_is_not_utf_8(bootstrap_servers: str) -> None:
    producer = Producer({"bootstrap.servers": bootstrap_servers})
    for _ in range(MANY):
        producer.produce(TOPIC, b"named", partition=0, headers=[*HEADERS])
    assert producer.flush(10) == 0
    for _ in range(3):
        produce_with_header(bootstrap_servers, TOPIC, b"unnamed", b"\xff\xfe")
    producer.produce(TOPIC, b"bare", partition=0)
    assert producer.flush(10) == 0
    found = [headers_of(message) for message in messages(bootstrap_servers, MANY + 4)]
    assert found[:MANY] == [HEADERS] * MANY
    assert found[MANY:] == [None, None, None, []]

"""Group metadata shows whether a client is a member, without a request to the broker."""

import struct
from types import SimpleNamespace

import pytest
from confluent_kafka import Consumer

from service.errors import GroupChanged
from service.handler.kafka.client.consumer_group import ConsumerGroup, has_generation


def written(generation: int) -> bytes:
    """Return group metadata as librdkafka serializes it."""
    return b"CGMDv2:" + struct.pack("=i", generation) + b"orders\0member\0\1"


def test_group_metadata_with_a_generation_is_that_of_a_member() -> None:
    assert [has_generation(written(generation)) for generation in (-1, 0, 1, 7)] == [False, False, True, True]
    assert not has_generation(b"")
    assert not has_generation(written(7).replace(b"v2", b"v3"))


def test_a_client_that_has_joined_no_group_is_no_member() -> None:
    consumer = Consumer({"bootstrap.servers": "127.0.0.1:1", "group.id": "orders", "log_level": 0})
    assert consumer.consumer_group_metadata()[:11] == written(-1)[:11]
    member = ConsumerGroup(("orders",), is_transactional=True)
    for _ in range(2):
        with pytest.raises(GroupChanged, match="not a member"):
            _ = member.metadata
        member.refresh(consumer)
    consumer.close()


def test_a_group_subscribes_to_its_topics_or_to_a_pattern() -> None:
    assert ConsumerGroup(("a", "b")).subscription == ["a", "b"]
    assert ConsumerGroup(("a",), pattern="^a").subscription == ["^a"]


def test_without_transactions_no_metadata_is_copied() -> None:
    group = ConsumerGroup(("orders",))
    group.refresh(SimpleNamespace(consumer_group_metadata=lambda: written(7)))  # type: ignore[arg-type]
    with pytest.raises(GroupChanged):
        _ = group.metadata

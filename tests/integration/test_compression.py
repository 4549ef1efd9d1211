"""Batches that are small for the broker and large once unpacked: they hold nothing up, or say that they do.

A broker limits what it stores, and reads through what a producer has compressed without looking at how much that is.
"""

from collections.abc import Iterable
from itertools import repeat

import pytest
from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from msgspec.json import decode, encode

from service.entities.dead_letter import Header
from tests.factories import order_document
from tests.harness import TIMEOUT_SECONDS, Harness, headers, metric, orders
from tests.waiting import eventually

MIB = 2**20
FIRST_PARTITION, SECOND_PARTITION = 0, 1
BEYOND_A_REQUEST = 101 * MIB
"""More than a broker takes in one request (`socket.request.max.bytes`)."""
BASE_MIB = 150
"""Peak memory of a consumer with two batches of ordinary orders."""


def pack(harness: Harness, codec: str, values: Iterable[bytes]) -> KafkaError | None:
    """Produce all of them as one compressed batch; return what the broker has against it."""
    producer = Producer({
        "bootstrap.servers": harness.bootstrap_servers, "compression.type": codec, "linger.ms": 60_000,
        "message.max.bytes": 10**9, "batch.size": 10**9, "queue.buffering.max.kbytes": 2**20,
    })  # fmt: skip
    failures: list[KafkaError | None] = []
    for value in values:
        producer.produce(
            harness.topic, value, b"key", FIRST_PARTITION, on_delivery=lambda error, _: failures.append(error)
        )
    assert producer.flush(60) == 0
    return next(filter(None, failures), None)


def padded(size: int, count: int) -> Iterable[bytes]:
    """Return so many orders of so many bytes, nearly all of which is an unknown field that compresses to nothing."""
    return (encode(order_document(extra=filling)) for filling in repeat("x" * (size - 2_000), count))


def neighbour(harness: Harness, partition: int = FIRST_PARTITION) -> str:
    """Produce an ordinary order, and return its id."""
    document = order_document()
    harness.produce(*orders([document], partition))
    return str(document["order_uid"])


@pytest.mark.parametrize("exactly_once", ["false", "true"])
def test_a_message_too_large_for_any_request_is_dead_lettered_by_name(harness: Harness, exactly_once: str) -> None:
    before = neighbour(harness)
    assert pack(harness, "gzip", [b" " * BEYOND_A_REQUEST]) is None
    after = neighbour(harness)
    consumer = harness.consumer(ORDERS_DEAD_LETTERS__EXACTLY_ONCE=exactly_once)
    harness.wait_stored({before, after})
    (dead_letter,) = eventually(harness.dead_letters)
    told = dict(headers(dead_letter))
    assert (told[Header.REASON], told[Header.STUB]) == (b"too-large", b"true")
    assert decode(dead_letter.value() or b"")["size"] == BEYOND_A_REQUEST
    assert consumer.peak_mib() < BASE_MIB + 2 * BEYOND_A_REQUEST // MIB


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_a_batch_that_expands_a_thousandfold_is_stored_whole(harness: Harness, codec: str) -> None:
    count = 64
    assert pack(harness, codec, padded(MIB, count)) is None
    after = neighbour(harness)
    consumer = harness.consumer()
    eventually(lambda: after in harness.stored(), 30, "what came after it")
    assert len(harness.stored()) == count + 1
    assert consumer.peak_mib() < BASE_MIB + 3 * count


def test_a_batch_that_may_not_be_unpacked_is_said_and_passed_over_only_by_who_allows_it(harness: Harness) -> None:
    """librdkafka bounds what zstd expands to by receive.message.max.bytes, 100 MB unless told otherwise."""
    before = neighbour(harness)
    packed = [*padded(MIB, 4)]
    assert pack(harness, "zstd", packed) is None
    elsewhere = neighbour(harness, SECOND_PARTITION)
    small = harness.consumer(
        ORDERS_KAFKA__PROPERTIES='{"receive.message.max.bytes": 2000000, "fetch.max.bytes": 1000000}'
    )
    harness.wait_stored({before, elsewhere})
    lines = eventually(lambda: [line for line in small.log.read_text().splitlines() if "decompressed" in line])
    said = decode(lines[0])
    assert (said["level"], said["partition"], said["offset"]) == ("error", FIRST_PARTITION, 1)
    assert "receive.message.max.bytes" in said["what_to_do"]
    assert metric(small, "orders_dead_letters_total") == 0
    later = neighbour(harness, SECOND_PARTITION)
    stalled = "orders_partition_stalled_seconds"
    eventually(lambda: metric(small, stalled, partition=str(FIRST_PARTITION)) > 2, 30, "this one stands still")
    eventually(lambda: metric(small, stalled, partition=str(SECOND_PARTITION)) == 0, 30, "the other one does not")
    assert metric(small, "orders_lag_messages", partition=str(FIRST_PARTITION)) == len(packed)
    assert small.stop() == 0
    assert harness.committed()[FIRST_PARTITION] == 1
    harness.consumer()
    harness.wait_stored({before, elsewhere, later, *(decode(value)["order_uid"] for value in packed)})


def test_a_topic_that_is_kept_uncompressed_limits_what_a_batch_expands_to(harness: Harness) -> None:
    set_uncompressed(harness)
    refused = pack(harness, "gzip", padded(MIB, 64))
    assert refused is not None
    assert refused.code() == KafkaError.MSG_SIZE_TOO_LARGE
    after = neighbour(harness)
    harness.consumer()
    harness.wait_stored({after})


def set_uncompressed(harness: Harness) -> None:
    """What docs/delivery.md advises where producers aren't trusted."""
    entry = ConfigEntry("compression.type", "uncompressed", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, harness.topic, incremental_configs=[entry])
    admin = harness.admin()  # must outlive its request
    admin.incremental_alter_configs([resource])[resource].result(TIMEOUT_SECONDS)

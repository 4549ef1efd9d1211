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
from tests.stage import SECONDS, Stage, headers, metric, orders
from tests.waiting import eventually

MIB = 2**20
FIRST_PARTITION, SECOND_PARTITION = 0, 1
BEYOND_A_REQUEST = 101 * MIB
"""More than a broker takes in one request (`socket.request.max.bytes`)."""
BASE_MIB = 150
"""What a consumer takes that has two batches of ordinary orders."""


def pack(stage: Stage, codec: str, values: Iterable[bytes]) -> KafkaError | None:
    """Produce all of them as one compressed batch; return what the broker has against it."""
    producer = Producer({
        "bootstrap.servers": stage.bootstrap_servers, "compression.type": codec, "linger.ms": 60_000,
        "message.max.bytes": 10**9, "batch.size": 10**9, "queue.buffering.max.kbytes": 2**20,
    })  # fmt: skip
    failures: list[KafkaError | None] = []
    for value in values:
        producer.produce(
            stage.topic, value, b"key", FIRST_PARTITION, on_delivery=lambda error, _: failures.append(error)
        )
    assert producer.flush(60) == 0
    return next(filter(None, failures), None)


def padded(size: int, count: int) -> Iterable[bytes]:
    """Return so many orders of so many bytes, nearly all of which is an unknown field that compresses to nothing."""
    return (encode(order_document(extra=filling)) for filling in repeat("x" * (size - 2_000), count))


def neighbour(stage: Stage, partition: int = FIRST_PARTITION) -> str:
    """Produce an ordinary order, and return its id."""
    document = order_document()
    stage.produce(*orders([document], partition))
    return str(document["order_uid"])


@pytest.mark.parametrize("exactly_once", ["false", "true"])
def test_a_message_too_large_for_any_request_is_dead_lettered_by_name(stage: Stage, exactly_once: str) -> None:
    before = neighbour(stage)
    assert pack(stage, "gzip", [b" " * BEYOND_A_REQUEST]) is None
    after = neighbour(stage)
    consumer = stage.consumer(ORDERS_DEAD_LETTERS__EXACTLY_ONCE=exactly_once)
    stage.wait_stored({before, after})
    (letter,) = eventually(stage.letters)
    told = dict(headers(letter))
    assert (told[Header.REASON], told[Header.STUB]) == (b"too-large", b"true")
    assert decode(letter.value() or b"")["size"] == BEYOND_A_REQUEST
    assert consumer.peak_mib() < BASE_MIB + 2 * BEYOND_A_REQUEST // MIB


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_a_batch_that_expands_a_thousandfold_is_stored_whole(stage: Stage, codec: str) -> None:
    count = 64
    assert pack(stage, codec, padded(MIB, count)) is None
    after = neighbour(stage)
    consumer = stage.consumer()
    eventually(lambda: after in stage.stored(), 30, "what came after it")
    assert len(stage.stored()) == count + 1
    assert consumer.peak_mib() < BASE_MIB + 3 * count


def test_a_batch_that_may_not_be_unpacked_is_said_and_passed_over_only_by_who_allows_it(stage: Stage) -> None:
    """librdkafka bounds what zstd expands to by receive.message.max.bytes, 100 MB unless told otherwise."""
    before = neighbour(stage)
    packed = [*padded(MIB, 4)]
    assert pack(stage, "zstd", packed) is None
    elsewhere = neighbour(stage, SECOND_PARTITION)
    small = stage.consumer(
        ORDERS_KAFKA__PROPERTIES='{"receive.message.max.bytes": 2000000, "fetch.max.bytes": 1000000}'
    )
    stage.wait_stored({before, elsewhere})
    lines = eventually(lambda: [line for line in small.log.read_text().splitlines() if "decompressed" in line])
    said = decode(lines[0])
    assert (said["level"], said["partition"], said["offset"]) == ("error", FIRST_PARTITION, 1)
    assert "receive.message.max.bytes" in said["what_to_do"]
    assert metric(small, "orders_dead_letters_total") == 0
    later = neighbour(stage, SECOND_PARTITION)
    stalled = "orders_partition_stalled_seconds"
    eventually(lambda: metric(small, stalled, partition=str(FIRST_PARTITION)) > 2, 30, "this one stands still")
    eventually(lambda: metric(small, stalled, partition=str(SECOND_PARTITION)) == 0, 30, "the other one does not")
    assert metric(small, "orders_lag_messages", partition=str(FIRST_PARTITION)) == len(packed)
    assert small.stop() == 0
    assert stage.committed()[FIRST_PARTITION] == 1
    stage.consumer()
    stage.wait_stored({before, elsewhere, later, *(decode(value)["order_uid"] for value in packed)})


def test_a_topic_that_is_kept_uncompressed_limits_what_a_batch_expands_to(stage: Stage) -> None:
    set_uncompressed(stage)
    refused = pack(stage, "gzip", padded(MIB, 64))
    assert refused is not None
    assert refused.code() == KafkaError.MSG_SIZE_TOO_LARGE
    after = neighbour(stage)
    stage.consumer()
    stage.wait_stored({after})


def set_uncompressed(stage: Stage) -> None:
    """What docs/delivery.md advises where producers aren't trusted."""
    entry = ConfigEntry("compression.type", "uncompressed", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, stage.topic, incremental_configs=[entry])
    admin = stage.admin()  # must outlive its request
    admin.incremental_alter_configs([resource])[resource].result(SECONDS)

"""Batches that are small while compressed and large afterwards.

A broker limits the compressed size only.
"""

from collections.abc import Iterable
from itertools import repeat

import pytest
from confluent_kafka import KafkaError, Producer
from msgspec.json import decode, encode

from service.entities.dead_letter_headers import Header
from tests.kit.factories import order_document
from tests.kit.harness import Harness, headers, metric, orders
from tests.kit.waiting import eventually

MIB = 2**20
FIRST_PARTITION, SECOND_PARTITION = 0, 1
OVERSIZED = 101 * MIB
"""More bytes than a broker accepts in one request (`socket.request.max.bytes`)."""
BASE_MIB = 150
"""Peak memory of a consumer with two batches of ordinary orders."""


def produce_compressed(harness: Harness, codec: str, values: Iterable[bytes]) -> KafkaError | None:
    """Produce the values as one compressed batch; return the broker's error, if any."""
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
    """Return `count` orders of about `size` bytes, mostly an unknown field that compresses very well."""
    return (encode(order_document(extra=padding)) for padding in repeat("x" * (size - 2_000), count))


def produce_order(harness: Harness, partition: int = FIRST_PARTITION) -> str:
    """Produce an ordinary order, and return its id."""
    document = order_document()
    harness.produce(*orders([document], partition))
    return str(document["order_uid"])


@pytest.mark.parametrize("exactly_once", ["false", "true"])
def test_a_message_too_large_for_any_request_is_dead_lettered_as_a_stub(harness: Harness, exactly_once: str) -> None:
    before = produce_order(harness)
    assert produce_compressed(harness, "gzip", [b" " * OVERSIZED]) is None
    after = produce_order(harness)
    consumer = harness.consumer(ORDERS_DEAD_LETTERS__EXACTLY_ONCE=exactly_once)
    harness.wait_stored({before, after})
    (dead_letter,) = eventually(harness.dead_letters)
    fields = dict(headers(dead_letter))
    assert (fields[Header.REASON], fields[Header.STUB]) == (b"too-large", b"true")
    assert decode(dead_letter.value() or b"")["size"] == OVERSIZED
    assert consumer.peak_mib() < BASE_MIB + 2 * OVERSIZED // MIB


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_a_batch_that_expands_a_thousandfold_is_stored(harness: Harness, codec: str) -> None:
    count = 64
    assert produce_compressed(harness, codec, padded(MIB, count)) is None
    after = produce_order(harness)
    consumer = harness.consumer()
    eventually(lambda: after in harness.stored(), 30, "the order after the batch is stored")
    assert len(harness.stored()) == count + 1
    assert consumer.peak_mib() < BASE_MIB + 3 * count


def test_a_batch_above_the_decompression_limit_stalls_its_partition_and_is_logged(harness: Harness) -> None:
    """librdkafka limits decompression of zstd to receive.message.max.bytes, by default 100 MB."""
    before = produce_order(harness)
    values = [*padded(MIB, 4)]
    assert produce_compressed(harness, "zstd", values) is None
    other_partition = produce_order(harness, SECOND_PARTITION)
    limited = harness.consumer(
        ORDERS_KAFKA__PROPERTIES='{"receive.message.max.bytes": 2000000, "fetch.max.bytes": 1000000}'
    )
    harness.wait_stored({before, other_partition})
    lines = eventually(lambda: [line for line in limited.log.read_text().splitlines() if "decompressed" in line])
    event = decode(lines[0])
    assert (event["level"], event["partition"], event["offset"]) == ("error", FIRST_PARTITION, 1)
    assert "receive.message.max.bytes" in event["hint"]
    assert metric(limited, "orders_dead_letters_total") == 0
    later = produce_order(harness, SECOND_PARTITION)
    stalled = "orders_partition_stalled_seconds"
    eventually(lambda: metric(limited, stalled, partition=str(FIRST_PARTITION)) > 2, 30, "the partition stalls")
    eventually(
        lambda: metric(limited, stalled, partition=str(SECOND_PARTITION)) == 0, 30, "the other partition does not stall"
    )
    assert metric(limited, "orders_lag_messages", partition=str(FIRST_PARTITION)) == len(values)
    assert limited.stop() == 0
    assert harness.committed()[FIRST_PARTITION] == 1
    harness.consumer()
    harness.wait_stored({before, other_partition, later, *(decode(value)["order_uid"] for value in values)})


def test_an_uncompressed_topic_rejects_batches_by_uncompressed_size(harness: Harness) -> None:
    harness.configure(harness.topic, compression_type="uncompressed")  # what docs/delivery.md recommends
    error = produce_compressed(harness, "gzip", padded(MIB, 64))
    assert error is not None
    assert error.code() == KafkaError.MSG_SIZE_TOO_LARGE
    after = produce_order(harness)
    harness.consumer()
    harness.wait_stored({after})

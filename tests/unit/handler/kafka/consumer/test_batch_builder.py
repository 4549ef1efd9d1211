"""Messages become a batch; how many are taken at once depends on what is left of its limits."""

from typing import NoReturn

import pytest
from confluent_kafka import Message
from msgspec.json import encode

from service.handler.kafka.consumer import batch_builder
from service.handler.kafka.consumer.batch_builder import MAX_DECODED_BYTES, MAX_DECODED_MESSAGES, BatchBuilder
from service.metrics import ConsumerMetrics
from tests.kit.decoding import message_decoder
from tests.kit.factories import order_document
from tests.kit.fake_consumer import message
from tests.kit.fakes import FakeStore
from tests.kit.order_partitions import P0
from tests.kit.policies import batch_limits

ORDER = encode(order_document())


@pytest.fixture
def builder(metrics: ConsumerMetrics) -> BatchBuilder:
    return BatchBuilder(message_decoder(), FakeStore.prepare, metrics)


class UnreadableMessage(Message):
    """A message with a header name that is not UTF-8."""

    def headers(self) -> NoReturn:
        raise SystemError


def messages(*values: bytes | None) -> list[Message]:
    return [message(0, offset, value) for offset, value in enumerate(values)]


def add(builder: BatchBuilder, *values: bytes | None) -> None:
    builder.add(messages(*values))


def sample(metrics: ConsumerMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"orders_{name}", labels)


def test_messages_become_orders_dead_letters_and_tombstones(builder: BatchBuilder) -> None:
    add(builder, ORDER, b"{", None)
    assert (len(builder.batch.orders), len(builder.batch.dead_letters), builder.batch.tombstones) == (1, 1, 1)
    assert builder.batch.commit_offsets == {P0: 3}


def test_taking_a_batch_counts_it_and_starts_the_next_one(builder: BatchBuilder, metrics: ConsumerMetrics) -> None:
    add(builder, ORDER, b"{")
    filled = builder.batch
    assert builder.take({P0: 7}) is filled
    assert (len(builder.batch), builder.batch.probed_offsets, filled.probed_offsets) == (0, {P0: 7}, {})
    assert sample(metrics, "consumed_total") == 2
    assert sample(metrics, "batch_messages_sum") == 2
    assert sample(metrics, "batch_seconds_count", stage="decode") == 1
    assert 0 < (sample(metrics, "batch_seconds_sum", stage="decode") or 0) < 60


def test_the_time_of_decoding_a_batch_is_that_of_its_messages(
    builder: BatchBuilder, metrics: ConsumerMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([10.0, 11.0, 20.0, 22.0, 30.0, 34.0])  # before and after each call
    monkeypatch.setattr(batch_builder, "monotonic", lambda: next(times))
    seconds = []
    for count in (2, 1):
        for _ in range(count):
            add(builder, ORDER)
        builder.take({})
        seconds.append(sample(metrics, "batch_seconds_sum", stage="decode"))
    assert seconds == [3, 7]


def test_a_discarded_batch_is_not_counted(builder: BatchBuilder, metrics: ConsumerMetrics) -> None:
    add(builder, ORDER)
    builder.discard({P0: 7})
    assert (len(builder.batch), builder.batch.probed_offsets) == (0, {P0: 7})
    assert (sample(metrics, "consumed_total"), sample(metrics, "batch_messages_count")) == (0, 0)


def test_unreadable_headers_are_counted(builder: BatchBuilder, metrics: ConsumerMetrics) -> None:
    builder.add([UnreadableMessage("orders", 0, 0, None, ORDER), *messages(ORDER, ORDER)])
    assert (sample(metrics, "unreadable_headers_total"), len(builder.batch.orders)) == (1, 3)


def test_small_messages_are_taken_many_at_once(builder: BatchBuilder) -> None:
    assert builder.capacity(batch_limits()) == MAX_DECODED_MESSAGES
    assert builder.capacity(batch_limits(bytes=3)) == 3
    assert builder.capacity(batch_limits(messages=3)) == 3
    add(builder, None)
    assert builder.capacity(batch_limits(messages=3)) == 2


def test_messages_as_large_as_the_last_ones_fit_into_a_chunk(builder: BatchBuilder) -> None:
    add(builder, bytes(MAX_DECODED_BYTES // 4), bytes(MAX_DECODED_BYTES // 4))
    assert builder.capacity(batch_limits()) == 4
    add(builder, bytes(MAX_DECODED_BYTES // 8))
    assert builder.capacity(batch_limits()) == 8


def test_messages_as_large_as_the_last_ones_fit_into_the_batch(builder: BatchBuilder) -> None:
    add(builder, bytes(1_000), bytes(1_000))
    assert builder.capacity(batch_limits(bytes=5_500)) == 3


def test_messages_of_a_byte_fill_the_batch(builder: BatchBuilder) -> None:
    add(builder, b"{")
    assert builder.capacity(batch_limits(bytes=4)) == 3


def test_at_least_one_message_is_taken(builder: BatchBuilder) -> None:
    add(builder, bytes(2 * MAX_DECODED_BYTES))
    assert builder.capacity(batch_limits()) == 1
    assert builder.capacity(batch_limits(bytes=1)) == 1

"""What a record adds to the batch that is being filled."""

import pytest
from msgspec import convert
from msgspec.json import encode

from service.entities.dead_letter_headers import Headers
from service.entities.order import Order
from service.entities.record import HEADER_BYTES, Record
from service.entities.version import RecordCoordinates, VersionedOrder
from service.handler.kafka.consumer.add_record import add_record
from service.repo.writer.order_store import PostgresOrderStore
from service.repo.writer.rows import PreparedOrder, copy_rows
from service.usecases.batch import Batch
from tests.kit.decoding import message_decoder
from tests.kit.factories import order_document
from tests.kit.order_partitions import P0

DECODER = message_decoder()


@pytest.mark.parametrize(
    ("key", "value", "headers", "size"),
    [
        (None, b"hello", None, 5),
        (b"key", b"hello", [], 8),
        (b"", b"", [("twice", b"1"), ("twice", b"22"), ("null", None)], 17 + 3 * HEADER_BYTES),
    ],
)
def test_key_value_and_headers_count_towards_the_bytes_of_a_batch(
    key: bytes | None, value: bytes, headers: Headers | None, size: int
) -> None:
    batch = Batch()
    add_record(Record("orders", 0, 0, 0, key, value, headers), batch, DECODER, PostgresOrderStore.prepare)
    assert batch.bytes == size


@pytest.mark.parametrize("value", [b"", b"null", b"\xef\xbb\xbfnull", b" null", b"null\n", b"\r\n\tnull \t"])
def test_no_value_and_the_text_null_are_tombstones(value: bytes) -> None:
    batch = Batch()
    add_record(Record("orders", 0, 0, 0, b"key", value, None), batch, DECODER, PostgresOrderStore.prepare)
    assert (batch.tombstones, batch.dead_letters, batch.orders, batch.next_offsets) == (1, [], [], {P0: 1})


@pytest.mark.parametrize(
    "value", [b" ", b"\n", b"NULL", b'"null"', b"[null]", b"nullnull", b"\xef\xbb\xbf null null", b"\0null", b"\fnull"]
)
def test_a_value_that_only_resembles_a_tombstone_is_dead_lettered(value: bytes) -> None:
    batch = Batch()
    add_record(Record("orders", 0, 0, 0, b"key", value, None), batch, DECODER, PostgresOrderStore.prepare)
    assert (batch.tombstones, len(batch.dead_letters)) == (0, 1)


@pytest.mark.parametrize("text", ["plain", "Zürich 🧘", "\t", "\n", "\r", "\\", "\\N", "\u2028", "\x7f"])
def test_any_text_of_an_order_is_prepared_for_the_store(text: str) -> None:
    batch, value = Batch(), encode(order_document(entry=text))
    add_record(Record("orders", 0, 0, 0, None, value, None), batch, DECODER, PostgresOrderStore.prepare)
    (consumed,) = batch.orders
    assert consumed.versioned.order.entry == text
    assert isinstance(consumed.versioned, PreparedOrder)
    assert consumed.versioned.rows == copy_rows(consumed.versioned.order, consumed.versioned.source)


def test_the_store_gets_the_json_text_of_an_order() -> None:
    texts: list[bytes | None] = []

    def prepare(order: Order, source: RecordCoordinates, json: bytes | None) -> VersionedOrder:
        texts.append(json)
        return PostgresOrderStore.prepare(order, source, json)

    value = encode(order_document())
    add_record(Record("orders", 0, 0, 0, None, value, None), Batch(), DECODER, prepare)
    assert texts == [value]


def test_an_order_that_was_not_decoded_from_json_is_prepared_with_escapes() -> None:
    order = convert(order_document(entry="\t"), Order)
    source = RecordCoordinates(1, 0, 0, "orders")
    prepared = PostgresOrderStore.prepare(order, source, None)
    assert isinstance(prepared, PreparedOrder)
    assert prepared.rows == copy_rows(order, source)

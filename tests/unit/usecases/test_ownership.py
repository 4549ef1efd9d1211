"""Which order a record belongs to, whatever its key and value contain."""

import tracemalloc
from base64 import b64encode
from codecs import BOM_UTF8
from gzip import compress

import pytest
from msgspec.json import encode

from service.entities.dead_letter_record import DeadLetterRecord
from service.usecases.ownership import is_binary, known_order, order_of
from tests.kit.factories import order_document

ORDER = "order-1"


def dead_letter(value: bytes | None, key: bytes | None = None) -> DeadLetterRecord:
    return DeadLetterRecord(0, 0, 0, key, value, [])


@pytest.mark.parametrize(
    "found",
    {
        "the key, of no document": dead_letter(b"\x00\xff", ORDER.encode()),
        "the key, of a stub": dead_letter(b"orders/0/17, 2000000 bytes", ORDER.encode()),
        "the key, of a tombstone": dead_letter(None, ORDER.encode()),
        "the document, under another key": dead_letter(encode(order_document(order_uid=ORDER)), b"other"),
        "a document that breaks every rule": dead_letter(b'{"items": 7, "order_uid": "order-1"}'),
        "the last one of two fields": dead_letter(b'{"order_uid": "other", "order_uid": "order-1"}'),
        "an escaped text": dead_letter(rb'{"order_uid": "order\u002d1"}'),
        "a document that was cut": dead_letter(b'{"order_uid": "order-1", "delivery": {"name": "Te'),
        "a document that is not UTF-8": dead_letter(b'{"order_uid": "order-1", "entry": "\xff"}'),
        "a document in a document": dead_letter(b'[{"order": {"order_uid": "order-1"}}]'),
        "a document without end": dead_letter(b'{"order_uid": "order-1", "x": ' + b"[" * 100_000),
        "a quote that ends another text": dead_letter(b'{"x": "y"order-1"'),
        "a document in an envelope": dead_letter(b'{"op": "c", "after": {"order_uid": "order-1"}}'),
        "a document as text": dead_letter(rb'{"id": "other", "payload": "{\"order_uid\": \"order-1\"}"}'),
        "an escaped text in an envelope": dead_letter(rb'{"after": {"order_uid": "order\u002d1"}}'),
        "an escaped text in a text": dead_letter(encode({"payload": r'{"order_uid": "order\u002d1"}'})),
        "a document beside another one": dead_letter(
            rb'{"payload": {"order_uid": "other"}, "data": "{\"order_uid\": '
            rb'\"order\u002d1\"}"}'
        ),
        "a document behind a byte order mark": dead_letter(BOM_UTF8 + rb'{"order_uid": "order\u002d1"}'),
        "a document whose number is out of range": dead_letter(rb'{"order_uid": "order\u002d1", "amount": 1e999}'),
        "a document in Base64": dead_letter(b'{"data_base64": "%b"}' % b64encode(b'{"order_uid": "order-1"}')),
        "a compressed document": dead_letter(compress(b'{"order_uid": ') + compress(b'"order-1"}')),
        "a binary document": dead_letter(b"\0\0\0\0\7\x0eorder-1\x08WBIL"),
        "a document whose id is no text": dead_letter(b'{"order_uid": 1, "payment": {"transaction": "order-1"}}'),
    }.items(),
    ids=lambda found: found[0],
)
def test_a_dead_letter_of_the_order_is_found_by(found: tuple[str, DeadLetterRecord]) -> None:
    assert order_of(found[1].key, found[1].value, ["unlike", ORDER]) == ORDER


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"order-1",
        b'{"order_uid": "order-12"}',
        b'{"order_uid": "order-1',
        b'{"order_uid": "other", "track_number": "order-1"}',
        BOM_UTF8 + b'{"order_uid": "other", "track_number": "order-1"}',
        b'{"order_uid": "ORDER-1"}',
        compress(b'{"order_uid": "order-12"}', mtime=0),  # the value is part of the test's name
        b"\0\0\0\0\7\x0eorder-2\x08WBIL",
    ],
)
def test_a_dead_letter_that_merely_resembles_it_is_not(value: bytes | None) -> None:
    assert order_of(b"order-12", value, [ORDER]) is None


AVRO = b"\0\0\0\0\7\x0eorder-1\x08WBIL"


@pytest.mark.parametrize(
    ("value", "order"),
    [
        (rb'{"order_uid": "order\u002d1"}', ORDER),
        (b'{"order_uid": "no uid"}', None),
        (b'"{\\"order_uid\\": \\"order-1\\"}"', ORDER),
        (b'{"after": {"order_uid": "order-1"}}', ORDER),
        (b'{"payload": {"order_uid": "order-1"}}', ORDER),
        (b'{"data": {"order_uid": "order-1"}}', ORDER),
        (b'{"data_base64": "%b"}' % b64encode(b'{"order_uid": "order-1"}'), ORDER),
        (b'{"data_base64": "A", "order_uid": 1}', None),
        (b'{"data_base64": 1, "x": "key-1"}', "key-1"),
        (compress(b'{"order_uid": "order-1"}', mtime=0), ORDER),
        (b'{"x": {"order_uid": "order-1"}}', ORDER),
        (b'{"order_uid": "other", "order_uid": "order-1", "x": ', ORDER),
        (b'{"order_uid": 1, "x": "key-1"}', "key-1"),
        (b'{"order_uid": 1, "x": "key-12"}', None),
        (b'{"order_uid": "\xff", "x": "key-1"}', "key-1"),
        (rb'text {"order_uid": "order\u002d1"}', None),
        (b"key-1", None),
        (AVRO, None),
        (AVRO + b"key-1", "key-1"),
        (None, None),
    ],
)
def test_a_record_certainly_belongs_to_the_order_of_its_document_or_else_of_its_key(
    value: bytes | None, order: str | None
) -> None:
    assert known_order(b"key-1", value) == order


@pytest.mark.parametrize("value", [b'{"x": "key-1"', AVRO, None])
def test_without_a_document_and_a_key_a_record_belongs_to_no_known_order(value: bytes | None) -> None:
    assert known_order(None, value) is None


def test_a_key_that_is_no_uid_is_no_known_order() -> None:
    assert known_order(b"\0\0", AVRO) is None


def test_a_document_in_ten_envelopes_is_not_searched_further() -> None:
    value = rb'{"order_uid": "order\u002d1"}'
    for _ in range(9):
        value = b'{"data": %b}' % value
    assert known_order(None, value) == ORDER
    assert known_order(None, b'{"data": %b}' % value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (AVRO, True),
        (compress(AVRO, mtime=0), True),
        ('{"order_uid": "order-1"}'.encode("utf-16"), True),
        (b'{"order_uid": "\x01"}', False),
        (b"text\n", False),
        (None, False),
    ],
)
def test_a_value_that_is_no_text_is_binary(value: bytes | None, *, expected: bool) -> None:
    assert is_binary(value) is expected


def test_little_memory_is_taken_by_a_text_of_many_quotes() -> None:
    """A few kilobytes of gzip, whose quoted texts took 200 MiB."""
    value = compress(b'"aa' * 2**22)
    tracemalloc.start()
    try:
        assert order_of(b"key", value, [ORDER]) is None
        assert known_order(b"key", value) is None
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**26

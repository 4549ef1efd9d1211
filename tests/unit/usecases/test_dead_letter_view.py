"""Dead letters as documents: whatever their producers wrote."""

from base64 import b64encode

import pytest

from service.entities.dead_letter_headers import Header, Headers
from service.entities.dead_letter_record import DeadLetterRecord
from service.usecases.dead_letter_view import DeadLetterHeader, Original, format_timestamp, view, whole_view

HEADERS: Headers = [
    ("traceparent", b"00-ab"),
    ("null", None),
    ("b\x07d", b"\xff\x00"),
    (Header.REASON, b"invalid"),
    (Header.DETAIL, b"items[0].price: expected `int`"),
    (Header.FAILED_AT, b"2026-11-23T10:00:00.000Z"),
    (Header.ATTEMPTS, b"4"),
    (Header.REPLAYS, b"2"),
    (Header.TOPIC, b"orders"),
    (Header.PARTITION, b"5"),
    (Header.OFFSET, b"101"),
    (Header.TIMESTAMP, b"1700000000123"),
]
RECORD = DeadLetterRecord(3, 7, 1_700_000_001_000, b"key", b"\x00value", HEADERS)


def test_a_view_has_the_place_the_headers_and_the_first_bytes() -> None:
    found = view(RECORD.excerpt(2))
    assert (found.partition, found.offset, found.timestamp) == (3, 7, "2023-11-14T22:13:21.000Z")
    assert (found.reason, found.detail) == ("invalid", "items[0].price: expected `int`")
    assert (found.failed_at, found.attempts, found.replays) == ("2026-11-23T10:00:00.000Z", "4", 2)
    assert found.is_stub is False
    assert found.original == Original(topic="orders", partition=5, offset=101, timestamp="2023-11-14T22:13:20.123Z")
    assert (found.key, found.value, found.size) == (b64encode(b"ke").decode(), b64encode(b"\x00v").decode(), 6)


def test_a_whole_view_has_everything_and_each_header_printable() -> None:
    found = whole_view(RECORD)
    assert (found.key, found.value, found.size) == ("a2V5", b64encode(b"\x00value").decode(), 6)
    assert (found.partition, found.reason) == (3, "invalid")
    assert found.headers[:2] == [DeadLetterHeader("traceparent", "00-ab"), DeadLetterHeader("null", None)]
    assert [each.name for each in found.headers[3:]] == [name for name, _ in HEADERS[3:]]
    bell = found.headers[2]
    assert "\x07" not in bell.name
    assert bell.value
    assert bell.value.isprintable()


def test_what_a_dead_letter_does_not_have_is_empty() -> None:
    found = whole_view(DeadLetterRecord(0, 0, 0, None, None, [(Header.STUB, b"true")]))
    assert (found.reason, found.detail, found.failed_at, found.attempts) == ("unknown", "", "", "")
    assert (found.replays, found.is_stub, found.original) == (0, True, None)
    assert (found.key, found.value, found.size) == (None, None, 0)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "1970-01-01T00:00:00.000Z"), (1_700_000_000_123, "2023-11-14T22:13:20.123Z"), (2**63 - 1, ""), (10**15, "")],
)
def test_a_timestamp_out_of_range_has_no_text(milliseconds: int, text: str) -> None:
    assert format_timestamp(milliseconds) == text

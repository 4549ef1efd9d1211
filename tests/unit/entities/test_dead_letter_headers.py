"""Any producer can set the headers of a dead letter, so only values that Kafka could have written count."""

import pytest

from service.entities.dead_letter_headers import (
    Header,
    Headers,
    known_headers,
    read_origin,
    read_replays,
    without_dlq_headers,
)
from service.entities.version import MAX_TOPIC_LENGTH, RecordCoordinates

ORIGIN: Headers = [
    (Header.TOPIC, b"orders.eu-1_a"),
    (Header.PARTITION, b"3"),
    (Header.OFFSET, b"42"),
    (Header.TIMESTAMP, b"1700000000000"),
]


def test_the_origin_is_read_from_four_headers() -> None:
    assert read_origin(ORIGIN) == RecordCoordinates(1_700_000_000_000, 3, 42, "orders.eu-1_a")
    assert read_origin([*ORIGIN, ("dlq-of-others", b"x"), ("a", None)]) == read_origin(ORIGIN)


@pytest.mark.parametrize("name", [name for name, _ in ORIGIN])
def test_without_one_of_them_there_is_no_origin(name: str) -> None:
    assert read_origin([each for each in ORIGIN if each[0] != name]) is None
    assert read_origin([(each, None if each == name else value) for each, value in ORIGIN]) is None


@pytest.mark.parametrize("headers", [None, []])
def test_a_record_without_headers_has_no_origin(headers: Headers | None) -> None:
    assert read_origin(headers) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (Header.OFFSET, b"-1"),
        (Header.OFFSET, b"1.0"),
        (Header.OFFSET, b""),
        (Header.OFFSET, b" 1"),
        (Header.OFFSET, "\N{SUPERSCRIPT TWO}".encode()),
        (Header.OFFSET, b"1" * 19),
        (Header.TIMESTAMP, b"-1"),
        (Header.PARTITION, b"2147483648"),
        (Header.TOPIC, b""),
        (Header.TOPIC, b"a b"),
        (Header.TOPIC, b"a\n"),
        (Header.TOPIC, "é".encode()),
        (Header.TOPIC, b"a" * (MAX_TOPIC_LENGTH + 1)),
    ],
)
def test_an_origin_that_kafka_could_not_have_written_is_ignored(name: str, value: bytes) -> None:
    assert read_origin([*ORIGIN, (name, value)]) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [(Header.OFFSET, b"9" * 18), (Header.PARTITION, b"2147483647"), (Header.TOPIC, b"a" * MAX_TOPIC_LENGTH)],
)
def test_the_greatest_values_are_accepted(name: str, value: bytes) -> None:
    assert read_origin([*ORIGIN, (name, value)]) is not None


@pytest.mark.parametrize(
    ("headers", "replays"),
    [
        (None, 0),
        ([(Header.REPLAYS, b"2")], 2),
        ([(Header.REPLAYS, b"2"), (Header.REPLAYS, b"3"), (Header.REPLAYS, None)], 3),
        ([(Header.REPLAYS, b"many")], 0),
        ([(Header.REPLAYS, b"-1")], 0),
    ],
)
def test_the_last_number_of_replays_counts_and_a_malformed_one_is_0(headers: Headers | None, replays: int) -> None:
    assert read_replays(headers) == replays


def test_the_last_value_of_each_known_header_is_kept_and_truncated() -> None:
    headers: Headers = [
        ("a", b"1"),
        (Header.DETAIL, b"old"),
        (Header.REASON, b"invalid"),
        (Header.DETAIL, b"abcdef"),
        (Header.DETAIL, None),
        ("dlq-", b"the prefix alone"),
    ]
    expected: Headers = [(Header.REASON, b"inv"), (Header.DETAIL, b"abc"), (Header.DETAIL, None)]
    assert known_headers(headers, 3) == expected
    assert known_headers(None, 3) == []


def test_headers_of_the_original_message_are_kept_in_order() -> None:
    headers: Headers = [("b", None), (Header.REASON, b"x"), ("dlq-of-others", b"x"), ("a", b"1"), ("b", b"2")]
    assert without_dlq_headers(headers) == [("b", None), ("a", b"1"), ("b", b"2")]

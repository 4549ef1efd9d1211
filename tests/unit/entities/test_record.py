from service.entities.dead_letter_headers import Header
from service.entities.record import HEADER_BYTES, Record
from service.entities.version import MAX_TIMESTAMP_MS, RecordCoordinates

PLAIN = Record("orders", 2, 7, 1_000, b"key", b"value", [])


def test_the_size_includes_the_memory_of_each_header() -> None:
    assert PLAIN.size == len(b"keyvalue")
    assert PLAIN._replace(headers=[("name", b"12"), ("", None)]).size == PLAIN.size + 2 * HEADER_BYTES + 6
    assert Record("orders", 2, 7, 1_000, None, None, None).size == 0


def test_a_record_without_a_timestamp_has_the_timestamp_0() -> None:
    assert PLAIN.coordinates == RecordCoordinates(1_000, 2, 7, "orders")
    assert PLAIN._replace(timestamp_ms=-1).coordinates == RecordCoordinates(0, 2, 7, "orders")


def test_a_timestamp_after_the_year_9999_is_clamped() -> None:
    late = PLAIN._replace(timestamp_ms=2**63 - 1)
    assert late.coordinates == late.source == RecordCoordinates(MAX_TIMESTAMP_MS, 2, 7, "orders")


def test_a_replayed_message_has_the_version_of_its_original_record() -> None:
    origin = [(Header.TOPIC, b"first"), (Header.PARTITION, b"1"), (Header.OFFSET, b"5"), (Header.TIMESTAMP, b"900")]
    assert PLAIN._replace(headers=[*origin]).source == RecordCoordinates(900, 1, 5, "first")
    assert PLAIN._replace(headers=[*origin]).coordinates == PLAIN.coordinates


def test_a_message_with_a_malformed_origin_has_its_own_version() -> None:
    assert PLAIN._replace(headers=[(Header.OFFSET, b"-1")]).source == PLAIN.coordinates
    assert PLAIN._replace(headers=None).source == PLAIN.coordinates

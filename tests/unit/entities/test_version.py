"""Which of two records carries the newer version of an order."""

from itertools import pairwise

import pytest

from service.entities.record import Record
from service.entities.version import CompareBy, RecordCoordinates

ASCENDING = [(1, 0, 0), (1, 0, 1), (1, 1, 0), (2, 0, 0), (2, 0, 7)]


def at(timestamp_ms: int, partition: int, offset: int, topic: str = "orders") -> RecordCoordinates:
    return RecordCoordinates(timestamp_ms, partition, offset, topic)


@pytest.mark.parametrize(("older", "newer"), list(pairwise(ASCENDING)))
def test_in_a_topic_timestamp_then_partition_then_offset_decide(
    older: tuple[int, int, int], newer: tuple[int, int, int]
) -> None:
    assert at(*newer).is_newer_than(at(*older))
    assert not at(*older).is_newer_than(at(*newer))


def test_nothing_is_newer_than_itself() -> None:
    assert not any(at(*version).is_newer_than(at(*version)) for version in ASCENDING)


@pytest.mark.parametrize("compare_by", ["timestamp", "offset"])
def test_offsets_of_different_topics_are_never_compared(compare_by: CompareBy) -> None:
    ascending = [at(1, 0, 9, "b"), at(2, 7, 99, "a"), at(2, 0, 0, "b"), at(3, 0, 0, "a")]
    for older, newer in pairwise(ascending):
        assert newer.is_newer_than(older, compare_by)
        assert not older.is_newer_than(newer, compare_by)


@pytest.mark.parametrize(
    ("compare_by", "partition", "newer"), [("offset", 0, True), ("timestamp", 0, False), ("offset", 1, False)]
)
def test_the_log_is_trusted_before_the_clock_within_one_partition_where_that_is_set(
    compare_by: CompareBy,
    partition: int,
    newer: bool,  # noqa: FBT001
) -> None:
    assert at(1, partition, 9).is_newer_than(at(2, 0, 8), compare_by) == newer


def record(timestamp_ms: int, offset: int = 0, headers: list[tuple[str, bytes | None]] | None = None) -> Record:
    return Record("orders", 1, offset, timestamp_ms, None, b"{}", headers or [])


def test_a_record_without_a_timestamp_is_newer_than_its_predecessor_and_older_than_the_others() -> None:
    assert record(-1, offset=2).source == at(0, 1, 2)
    assert record(-1, offset=3).source.is_newer_than(record(-1, offset=2).source)
    assert record(1, offset=0).source.is_newer_than(record(-1, offset=9).source)


def test_a_record_beyond_the_calendar_is_of_its_last_moment() -> None:
    assert record(2**62).source.timestamp_ms == 253_402_300_799_999


ORIGIN = [
    ("dlq-original-topic", b"before"),
    ("dlq-original-partition", b"2"),
    ("dlq-original-offset", b"77"),
    ("dlq-original-timestamp", b"1000"),
]


def test_a_replayed_record_has_the_version_of_its_origin() -> None:
    assert record(5_000, headers=[("other", None), *ORIGIN]).source == at(1_000, 2, 77, "before")


NO_NUMBERS = [None, b"", b"-1", b"1.0", b"x", b"\xff", "²".encode(), b"9" * 19]
MALFORMED = [
    *(
        ("dlq-original-topic", value)
        for value in (None, b"", b"\xff", "²".encode(), b"a b", b"a\x00b", b"a\n", b"a" * 250)
    ),
    *(("dlq-original-partition", value) for value in (*NO_NUMBERS, b"%d" % 2**31)),
    *(("dlq-original-offset", value) for value in NO_NUMBERS),
    *(("dlq-original-timestamp", value) for value in NO_NUMBERS),
]


@pytest.mark.parametrize(("name", "value"), MALFORMED)
def test_an_unreadable_origin_is_ignored(name: str, value: bytes | None) -> None:
    headers: list[tuple[str, bytes | None]] = [*dict(ORIGIN, **{name: value}).items()]
    assert record(5_000, offset=3, headers=headers).source == at(5_000, 1, 3)


def test_an_origin_can_be_as_large_as_kafka_s() -> None:
    values = (b"A.z_0-" + b"9" * 243, b"%d" % (2**31 - 1), b"9" * 18, b"1000")
    headers = [(name, value) for (name, _), value in zip(ORIGIN, values, strict=True)]
    source = record(5_000, headers=[*headers]).source
    assert source == at(1_000, 2**31 - 1, 10**18 - 1, "A.z_0-" + "9" * 243)

"""Reading a dead-letter topic backwards, in chunks."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from math import inf
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.entities.record import Record
from service.handler.kafka.dead_letters import newest
from service.handler.kafka.dead_letters.newest import NewestFirst, ScanLimits
from service.usecases.ports.dead_letters import DeadLetterFilters

Partitions = Mapping[int, list[int | None]]
"""The timestamps of the records of each partition. None: an offset without one, such as a transaction marker."""

REJECTED = DeadLetterFilters(frozenset({"rejected"}))


class RecordedTopic:
    """Records what is read. Every third dead letter is rejected."""

    def __init__(self, partitions: Partitions, value: bytes = b"") -> None:
        self.starts = dict.fromkeys(partitions, 0)
        self.ends = {partition: len(timestamps) for partition, timestamps in partitions.items()}
        self.reads: list[Mapping[int, tuple[int, int]]] = []
        self._partitions = partitions
        self._value = value

    def offsets_at(self, timestamp_ms: int) -> Mapping[int, int]:
        return {
            partition: next((each.offset for each in self.records(partition) if each.timestamp_ms >= timestamp_ms), end)
            for partition, end in self.ends.items()
        }

    def read(self, starts: Mapping[int, int], _: Callable[[], bool], ends: Mapping[int, int]) -> Iterator[Record]:
        self.reads.append({partition: (start, ends[partition]) for partition, start in starts.items()})
        for partition, start in starts.items():
            for record in self.records(partition):
                if start <= record.offset < ends[partition]:
                    yield record

    def records(self, partition: int) -> Iterator[Record]:
        for offset, timestamp_ms in enumerate(self._partitions[partition]):
            reason = b"invalid" if offset % 3 else b"rejected"
            if timestamp_ms is not None:
                headers: list[tuple[str, bytes | None]] = [("dlq-reason", reason)]
                yield Record("orders.dlq", partition, offset, timestamp_ms, b"", self._value, headers)


def scan(topic: RecordedTopic, limits: ScanLimits, filters: DeadLetterFilters = REJECTED, **options: Any) -> Any:
    def keep(dead_letter: Any) -> tuple[int, int, int]:
        return dead_letter.timestamp_ms, dead_letter.partition, dead_letter.offset

    options = {"first_chunk": 2, "should_stop": lambda: False, **options}
    return NewestFirst(cast("Any", topic), filters, keep, limits, **options)


@st.composite
def topics(draw: st.DrawFn) -> Partitions:
    """Return partitions in which no two records have the same time, and offsets are ordered by time."""
    count = draw(st.integers(1, 4))
    owners = draw(st.lists(st.tuples(st.integers(0, count - 1), st.booleans()), max_size=60))
    partitions: dict[int, list[int | None]] = {number: [] for number in range(count)}
    for timestamp_ms, (partition, is_record) in enumerate(owners):
        partitions[partition].append(timestamp_ms if is_record else None)
    return partitions


@given(partitions=topics(), page=st.integers(1, 7), chunk=st.integers(1, 9), read=st.integers(1, 20))
def test_pages_have_each_match_once_newest_first(partitions: Partitions, page: int, chunk: int, read: int) -> None:
    topic = RecordedTopic(partitions)
    expected = [each for partition in partitions for each in topic.records(partition) if each.offset % 3 == 0]
    found: list[tuple[int, int, int]] = []
    before, is_first = None, True
    while is_first or before is not None:
        pages = scan(topic, ScanLimits(chunk, read), first_chunk=page, before=before)
        found.extend(islice(pages, page))
        before, is_first = pages.before, False
    assert found == sorted(((each.timestamp_ms, each.partition, each.offset) for each in expected), reverse=True)


def test_the_first_chunk_has_a_page_of_each_partition_and_later_ones_share_the_chunk_size() -> None:
    topic = RecordedTopic({0: [*range(100)], 1: [*range(100)]})
    none = DeadLetterFilters(text="no such text")
    assert [*scan(topic, ScanLimits(chunk=60), none)] == []
    assert topic.reads == [
        {0: (98, 100), 1: (98, 100)}, {0: (68, 98), 1: (68, 98)}, {0: (38, 68), 1: (38, 68)},
        {0: (8, 38), 1: (8, 38)}, {0: (0, 8), 1: (0, 8)},
    ]  # fmt: skip


def test_a_chunk_of_large_dead_letters_is_smaller() -> None:
    topic = RecordedTopic({0: [*range(100)]}, value=b"x" * (newest.MAX_READ_BYTES // 5))
    scanned = scan(topic, ScanLimits(chunk=60, dead_letters=3), DeadLetterFilters(text="no such text"))
    assert [*scanned] == []
    assert [[*each.values()] for each in topic.reads] == [[(98, 100)], [(94, 98)]]
    assert scanned.before == {0: 94}


def test_chunks_have_about_as_many_bytes_as_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    topic = RecordedTopic({0: [*range(20)]}, value=b"x" * 100)
    *_, first_read = topic.records(0)
    monkeypatch.setattr(newest, "MAX_READ_BYTES", 8 * first_read.size)
    assert [*scan(topic, ScanLimits(chunk=60), DeadLetterFilters(text="no such text"), first_chunk=1)] == []
    assert topic.reads == [{0: (19, 20)}, {0: (11, 19)}, {0: (3, 11)}, {0: (0, 3)}]


def test_a_chunk_after_one_without_dead_letters_is_not_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newest, "MAX_READ_BYTES", 8)
    topic = RecordedTopic({0: [None] * 10})
    assert [*scan(topic, ScanLimits(chunk=60), first_chunk=1)] == []
    assert topic.reads == [{0: (9, 10)}, {0: (1, 9)}, {0: (0, 1)}]


def test_a_chunk_smaller_than_the_number_of_partitions_has_an_offset_of_each() -> None:
    topic = RecordedTopic({0: [None] * 3, 1: [None] * 3})
    assert [*scan(topic, ScanLimits(chunk=1), first_chunk=1)] == []
    assert topic.reads == [{0: (2, 3), 1: (2, 3)}, {0: (1, 2), 1: (1, 2)}, {0: (0, 1), 1: (0, 1)}]


def test_a_scan_without_limits_reads_everything() -> None:
    scanned = scan(RecordedTopic({0: [*range(1_000)]}), ScanLimits(chunk=7, dead_letters=inf))
    assert [offset for _, _, offset in scanned] == [*range(999, -1, -3)]
    assert scanned.before is None


def test_only_the_given_time_is_read_and_as_much_after_it_as_clocks_may_differ() -> None:
    hour_ms = 3_600_000
    topic = RecordedTopic({0: [hour * hour_ms for hour in range(12)], 1: [0]})
    filters = DeadLetterFilters(
        since=datetime.fromtimestamp(3 * 3_600, UTC), until=datetime.fromtimestamp(5 * 3_600, UTC)
    )
    scanned = scan(topic, ScanLimits(chunk=100), filters, first_chunk=100)
    assert [offset for _, _, offset in scanned] == [4, 3]
    assert topic.reads == [{0: (3, 7)}]
    assert scanned.before is None


def test_a_scan_ends_when_its_time_is_over() -> None:
    scanned = scan(RecordedTopic({0: [*range(9)]}), ScanLimits(chunk=2, seconds=0), DeadLetterFilters())
    assert ([*scanned], scanned.before) == ([], {0: 9})


def test_partitions_without_an_offset_to_read_before_are_not_read() -> None:
    topic = RecordedTopic({0: [0, 1], 1: [2, 3], 2: [4, 5]})
    scanned = scan(topic, ScanLimits(chunk=9), DeadLetterFilters(), before={0: 1, 2: 9})
    assert [(partition, offset) for _, partition, offset in scanned] == [(2, 1), (2, 0), (0, 0)]


def test_a_scan_ends_when_it_should_stop() -> None:
    topic = RecordedTopic({0: [*range(9)]})
    stops = iter([False, False, True])
    assert len([*scan(topic, ScanLimits(chunk=2), DeadLetterFilters(), should_stop=lambda: next(stops))]) == 1

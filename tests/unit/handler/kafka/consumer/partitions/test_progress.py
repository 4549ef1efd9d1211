"""What is done, uncommitted or abandoned, and when the end of a partition is committed."""

import pytest

from service.handler.kafka.consumer.partitions.progress import Progress
from service.usecases.batch import Batch
from tests.kit.fakes import FakeClock
from tests.kit.order_partitions import P0, P1, P2, keyed


def batch(**next_offsets: int) -> Batch:
    """Return a batch whose last records precede these offsets, by partition: `p0=5`."""
    offsets = keyed({int(name[1:]): offset for name, offset in next_offsets.items()})
    return Batch(next_offsets=offsets, last_timestamps_ms=dict.fromkeys(offsets, 0))


@pytest.fixture
def read(progress: Progress) -> Progress:
    """The progress of a consumer that has read partition 0 up to 10 and partition 1 up to 20."""
    progress.reach_end(P0, 10)
    progress.reach_end(P1, 20)
    return progress


def done_until(progress: Progress, **next_offsets: int) -> None:
    """Process messages whose offsets are committed already."""
    progress.advance(batch(**next_offsets), is_committed=True)


def test_offsets_are_uncommitted_until_the_broker_acknowledges_the_last_ones(progress: Progress) -> None:
    progress.advance(batch(p0=5, p1=7))
    progress.advance(batch(p0=9))
    progress.on_committed(P0, 5)
    progress.on_committed(P1, 7)
    assert (progress.uncommitted, progress.is_committed) == ({P0: 9}, False)
    progress.on_committed(P0, 9)
    assert (progress.uncommitted, progress.is_committed) == ({}, True)


def test_offsets_that_were_committed_with_the_dead_letters_are_done_and_committed(progress: Progress) -> None:
    progress.advance(batch(p0=5), is_committed=True)
    assert (progress.next_offset(P0), progress.is_committed) == (5, True)


def test_an_earlier_offset_is_not_committed_after_one_that_was_committed_with_dead_letters(progress: Progress) -> None:
    progress.advance(batch(p0=5, p1=7))
    progress.advance(batch(p0=9), is_committed=True)
    assert progress.uncommitted == {P1: 7}


def test_the_committed_offset_counts_until_a_batch_is_done(progress: Progress) -> None:
    progress.start_at({P0: 4})
    assert (progress.partitions[P0].offset, progress.next_offset(P0)) == (4, None)
    progress.advance(batch(p0=9))
    progress.start_at({P0: 4})
    assert (progress.partitions[P0].offset, progress.next_offset(P0)) == (9, 9)


def test_an_uncommitted_offset_of_a_revoked_partition_is_abandoned_until_the_next_assignment(
    progress: Progress,
) -> None:
    progress.advance(batch(p0=5, p1=7))
    progress.drop(frozenset({P1, P2}))
    progress.on_committed(P0, 5)
    assert (progress.uncommitted, progress.is_committed, progress.next_offset(P1)) == ({}, False, None)
    progress.on_assign()
    assert progress.is_committed


def test_a_revoked_partition_without_an_uncommitted_offset_abandons_nothing(progress: Progress) -> None:
    done_until(progress, p0=5)
    progress.drop(frozenset({P0, P1}))
    assert progress.is_committed


def test_a_record_from_the_future_has_no_age(progress: Progress, clock: FakeClock) -> None:
    progress.advance(Batch(next_offsets={P0: 5}, last_timestamps_ms={P0: round(clock() * 1_000) + 60_000}))
    assert progress.age_seconds(P0) == 0


def test_an_end_after_the_last_record_is_committed_once(read: Progress) -> None:
    done_until(read, p0=8, p1=20)
    read.advance_to_ends([])
    assert (read.uncommitted, read.next_offset(P0)) == ({P0: 10}, 10)
    read.on_committed(P0, 10)
    read.advance_to_ends([])
    assert read.uncommitted == {}


def test_a_partition_with_messages_in_an_unfinished_batch_waits_for_them(read: Progress) -> None:
    done_until(read, p0=8, p1=15)
    read.advance_to_ends([Batch(), batch(p0=9)])
    assert read.uncommitted == {P1: 20}
    read.advance_to_ends([Batch()])
    assert read.uncommitted == {P0: 10, P1: 20}


def test_a_partition_without_a_known_offset_waits_for_it(read: Progress) -> None:
    done_until(read, p1=15)
    read.advance_to_ends([])
    assert read.uncommitted == {P1: 20}
    read.start_at({P0: 3})
    read.advance_to_ends([])
    assert read.uncommitted == {P0: 10, P1: 20}


def test_the_last_end_of_a_partition_counts(read: Progress) -> None:
    done_until(read, p0=8)
    read.reach_end(P0, 12)
    read.advance_to_ends([])
    assert read.uncommitted == {P0: 12}


def test_the_end_of_a_partition_that_moved_is_ignored(read: Progress) -> None:
    done_until(read, p0=8, p1=15)
    read.clear_ends([P0, P2])
    read.advance_to_ends([])
    assert read.uncommitted == {P1: 20}


def test_all_ends_are_ignored_when_messages_are_read_again(read: Progress) -> None:
    done_until(read, p0=8, p1=15)
    read.clear_all_ends()
    read.advance_to_ends([])
    assert read.uncommitted == {}

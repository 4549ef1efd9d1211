"""A batch keeps by partition where it began and where it ends, and forgets what is another member's."""

import pytest

from service.entities.dead_letter import DeadLetter, Reason
from service.entities.partition import Partition
from service.usecases.batch import Batch, BatchLimits, ConsumedOrder
from tests.kit.factories import SAMPLE, record, versioned
from tests.kit.order_partitions import P0, P1
from tests.kit.policies import batch_limits

ITEM = SAMPLE["items"][0]


def take(batch: Batch, offset: int, *, partition: int = 0, items: int = 1) -> None:
    batch.track(record(offset, partition=partition))
    order = versioned(offset, partition=partition, items=[ITEM] * items)
    batch.add_order(ConsumedOrder(order, record(offset, partition=partition)))


def reject(batch: Batch, offset: int, *, partition: int = 0) -> None:
    batch.track(record(offset, partition=partition))
    batch.add_dead_letter(DeadLetter(record(offset, partition=partition), Reason.INVALID, ""))


def skip(batch: Batch, offset: int) -> None:
    batch.track(record(offset))
    batch.add_tombstone()


def test_offsets_run_from_the_first_record_to_after_the_last_of_each_partition() -> None:
    batch = Batch()
    take(batch, 5)
    take(batch, 100, partition=1)
    reject(batch, 6)
    skip(batch, 7)
    assert batch.start_offsets == {P0: 5, P1: 100}
    assert batch.commit_offsets == {P0: 8, P1: 101}
    assert batch.last_timestamps_ms == {P0: 1_007, P1: 1_100}


def test_a_commit_has_the_leader_epoch_of_each_partitions_last_record() -> None:
    batch = Batch()
    for offset, partition, epoch in ((5, 0, 3), (100, 1, None), (6, 0, 4)):
        batch.track(record(offset, partition=partition)._replace(leader_epoch=epoch))
    assert batch.leader_epochs == {P0: 4, P1: None}


def test_partitions_of_the_same_number_in_two_topics_are_told_apart() -> None:
    batch, other = Batch(), Partition("orders.eu", 0)
    take(batch, 5)
    for offset in (90, 91):
        batch.track(record(offset)._replace(topic=other.topic))
    take(batch, 6)
    assert (batch.start_offsets, batch.commit_offsets) == ({P0: 5, other: 90}, {P0: 7, other: 92})
    batch.drop(frozenset({other}))
    assert batch.commit_offsets == {P0: 7}
    assert batch.owned(batch.orders) == batch.orders


def test_message_flags_are_in_order_of_consumption_without_tombstones() -> None:
    batch = Batch()
    take(batch, 1)
    reject(batch, 2)
    skip(batch, 3)
    reject(batch, 4)
    take(batch, 5)
    assert (bytes(batch.message_flags), len(batch)) == (b"\0\1\1\0", 5)


@pytest.mark.parametrize(
    "limits", [batch_limits(messages=3), batch_limits(bytes=3 * record(0).size), batch_limits(items=6)]
)
def test_a_batch_is_full_when_it_reaches_one_of_its_limits(limits: BatchLimits) -> None:
    batch = Batch()
    for offset in range(2):
        take(batch, offset, items=2)
        assert not batch.must_submit(limits)
    take(batch, 2, items=2)
    assert batch.must_submit(limits)


def test_tombstones_and_bad_messages_count_towards_the_limit() -> None:
    batch = Batch()
    skip(batch, 1)
    skip(batch, 2)
    reject(batch, 3)
    assert not batch.must_submit(batch_limits(messages=4))
    assert batch.must_submit(batch_limits(messages=3))


def test_records_that_are_decoded_later_are_part_of_the_batch() -> None:
    batch = Batch()
    take(batch, 1)
    batch.undecoded.append(record(2))
    assert len(batch) == 2


def test_a_dropped_partition_is_neither_committed_nor_reread() -> None:
    batch = Batch()
    take(batch, 5)
    take(batch, 100, partition=1)
    batch.drop(frozenset({P0}))
    assert (batch.owns(P0), batch.owns(P1)) == (False, True)
    assert (batch.start_offsets, batch.commit_offsets) == ({P1: 100}, {P1: 101})


def test_partitions_that_are_dropped_one_after_the_other_stay_dropped() -> None:
    batch = Batch()
    take(batch, 5)
    take(batch, 100, partition=1)
    batch.drop(frozenset({P0}))
    batch.drop(frozenset({P1}))
    assert batch.commit_offsets == {}


def test_a_batch_that_dropped_a_partition_must_be_submitted() -> None:
    batch = Batch()
    take(batch, 5)
    batch.drop(frozenset({P0}))
    assert batch.must_submit(batch_limits())


def test_dropping_a_partition_without_records_does_not_fill_the_batch() -> None:
    batch = Batch()
    batch.drop(frozenset({P0}))
    assert not batch.must_submit(batch_limits())
    take(batch, 5)
    assert batch.owns(P0)
    assert batch.commit_offsets == {P0: 6}

"""Ends of partitions are committed once nothing before them is pending."""

import pytest

from service.handler.kafka.consumer.partition_ends import PartitionEnds


@pytest.fixture
def ends() -> PartitionEnds:
    made = PartitionEnds()
    made.add(0, 10)
    made.add(1, 20)
    return made


def test_an_end_after_the_last_record_is_returned_once(ends: PartitionEnds) -> None:
    done = {0: 8, 1: 20}
    assert ends.take_committable(done, pending=()) == {0: 10}
    assert (ends.take_committable(done, pending=()), ends.is_empty) == ({}, True)


def test_a_partition_with_pending_messages_waits_for_them(ends: PartitionEnds) -> None:
    assert ends.take_committable({0: 8, 1: 15}, pending={0}) == {1: 20}
    assert ends.take_committable({0: 9, 1: 20}, pending=()) == {0: 10}


def test_a_partition_without_a_known_offset_waits_for_it(ends: PartitionEnds) -> None:
    assert ends.take_committable({1: 15}, pending=()) == {1: 20}
    assert not ends.is_empty
    assert ends.take_committable({0: 3, 1: 20}, pending=()) == {0: 10}


def test_the_last_end_of_a_partition_counts(ends: PartitionEnds) -> None:
    ends.add(0, 12)
    assert ends.take_committable({0: 8}, pending=()) == {0: 12}


def test_a_revoked_partition_is_forgotten(ends: PartitionEnds) -> None:
    ends.forget([0, 7])
    assert ends.take_committable({0: 8, 1: 15}, pending=()) == {1: 20}


def test_all_ends_are_forgotten_when_messages_are_read_again(ends: PartitionEnds) -> None:
    ends.clear()
    assert ends.is_empty
    assert ends.take_committable({0: 8, 1: 15}, pending=()) == {}

"""The serialized assignment of a group's member."""

import struct

import pytest

from service.entities.partition import Partition
from service.handler.kafka.client.group_members import assigned_partitions

CAPTURED = struct.pack(">hIH6sI3iI", 0, 1, 6, b"orders", 3, 2, 0, 1, 0)
"""As a broker returns it: version 0, one topic with three partitions, and no user data."""


def test_the_partitions_of_a_topic_are_returned_in_order() -> None:
    assert assigned_partitions(CAPTURED) == [Partition("orders", number) for number in (0, 1, 2)]


def test_partitions_of_the_same_number_in_two_topics_are_told_apart() -> None:
    other = b"\x00\x05other" + struct.pack(">I2i", 2, 8, 5)
    own = b"\x00\x06orders" + struct.pack(">Ii", 1, 5)
    assert assigned_partitions(struct.pack(">hI", 3, 2) + own + other) == [
        Partition("orders", 5),
        Partition("other", 5),
        Partition("other", 8),
    ]


@pytest.mark.parametrize("length", range(len(CAPTURED) - 4))
def test_an_incomplete_assignment_counts_as_empty(length: int) -> None:
    assert assigned_partitions(CAPTURED[:length]) == []


@pytest.mark.parametrize("tail", [b"\xff" * 4, b"\x00\x01\xff\x00\x00\x00\x00", b"\x00\x01a\xff\xff\xff\xff"])
def test_a_malformed_assignment_counts_as_empty(tail: bytes) -> None:
    assert assigned_partitions(struct.pack(">hI", 0, 2**32 - 1) + tail) == []

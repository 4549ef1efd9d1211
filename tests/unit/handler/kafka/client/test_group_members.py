"""The serialized assignment of a group's member."""

import struct
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from service.entities.partition import Partition
from service.entities.subscription import Subscription
from service.handler.kafka.client.group_members import GroupMembers, assigned_partitions
from service.usecases.ports.stats import GroupMember
from tests.kit.order_partitions import P0, P1

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

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


@pytest.mark.parametrize(
    ("state", "members"), [("Stable", [GroupMember("a", [P0, P1]), GroupMember("b", [])]), ("Dead", None)]
)
def test_members_are_returned_with_the_partitions_of_the_groups_topics(
    state: str, members: list[GroupMember] | None
) -> None:
    both = struct.pack(">hIH5sI1iH6sI2iI", 0, 2, 5, b"other", 1, 7, 6, b"orders", 2, 0, 1, 0)
    listed = [SimpleNamespace(client_id="b", assignment=b""), SimpleNamespace(client_id="a", assignment=both)]
    group = SimpleNamespace(error=None, state=state, members=listed)
    requested: list[str] = []

    def list_groups(group_id: str, **_: object) -> list[SimpleNamespace]:
        requested.append(group_id)
        return [group]

    client = cast("AdminClient", SimpleNamespace(list_groups=list_groups))
    read = GroupMembers(lambda: client, group_id="shop", subscription=Subscription(("orders",))).read()
    assert requested == ["shop"]
    assert read == members


@pytest.mark.parametrize("length", range(len(CAPTURED) - 4))
def test_an_incomplete_assignment_counts_as_empty(length: int) -> None:
    assert assigned_partitions(CAPTURED[:length]) == []


@pytest.mark.parametrize("tail", [b"\xff" * 4, b"\x00\x01\xff\x00\x00\x00\x00", b"\x00\x01a\xff\xff\xff\xff"])
def test_a_malformed_assignment_counts_as_empty(tail: bytes) -> None:
    assert assigned_partitions(struct.pack(">hI", 0, 2**32 - 1) + tail) == []

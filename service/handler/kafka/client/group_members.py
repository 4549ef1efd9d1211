"""The members of the consumer group."""

import struct
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaException

from service.entities.partition import Partition
from service.entities.subscription import Subscription
from service.errors import KafkaRequestFailed
from service.handler.kafka.client.group_lag import GROUP_CALL_TIMEOUT_SECONDS
from service.handler.kafka.client.translate import translated
from service.usecases.ports.stats import GroupMember

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka.admin import AdminClient

_DEAD: Final = "Dead"
"""The state of a listed group whose members this request cannot return: one of the protocol `consumer` (KIP-848)."""

# https://kafka.apache.org/protocol: ConsumerProtocolAssignment. Unsigned, so that reading always advances.
_VERSION_AND_TOPICS: Final = struct.Struct(">hI")
_NAME_LENGTH: Final = struct.Struct(">H")
_PARTITION_COUNT: Final = struct.Struct(">I")


class GroupMembers:
    """Implements usecases.ports.stats.MembersReader. Connects at the first read; not thread-safe.

    `list_groups` is deprecated, but its successor `describe_consumer_groups` aborts the process (librdkafka 2.16: an
    assertion in rd_kafka_enq_once_del_source_return) when Kafka returns after a request has timed out.
    """

    def __init__(
        self, connect_admin: "Callable[[], AdminClient]", *, group_id: str, subscription: Subscription
    ) -> None:
        self._connect_admin = connect_admin
        self._group_id = group_id
        self._subscription = subscription

    def read_if_available(self) -> list[GroupMember] | None:
        """Return None if the members are unknown: Kafka is unavailable, or the group's protocol is `consumer`."""
        try:
            return self.read()
        except KafkaRequestFailed:
            return None

    @translated()
    def read(self) -> list[GroupMember] | None:
        """Return the members, None if they are unknown; none if the group does not exist. Raises KafkaRequestFailed."""
        groups: list[Any] = self._admin.list_groups(self._group_id, timeout=GROUP_CALL_TIMEOUT_SECONDS)
        for group in groups:
            if group.error is not None:
                raise KafkaException(group.error)
            if group.state == _DEAD:
                return None
        return sorted(
            GroupMember(member.client_id, self._partitions(member.assignment))
            for group in groups
            for member in group.members
        )

    def _partitions(self, assignment: bytes) -> list[Partition]:
        return [each for each in assigned_partitions(assignment) if self._subscription.includes(each.topic)]

    @cached_property
    def _admin(self) -> "AdminClient":
        return self._connect_admin()


def assigned_partitions(assignment: bytes) -> list[Partition]:
    """Return the partitions in a member's serialized assignment, in order; none if it is malformed."""
    try:
        return sorted(Partition(topic, number) for topic, numbers in _topics(assignment) for number in numbers)
    except (struct.error, UnicodeDecodeError):
        return []


def _topics(assignment: bytes) -> Iterator[tuple[str, tuple[int, ...]]]:
    _, topics = _VERSION_AND_TOPICS.unpack_from(assignment)
    at = _VERSION_AND_TOPICS.size
    for _ in range(topics):
        (length,) = _NAME_LENGTH.unpack_from(assignment, at)
        at += _NAME_LENGTH.size
        name = assignment[at : at + length].decode()
        at += length
        (count,) = _PARTITION_COUNT.unpack_from(assignment, at)
        at += _PARTITION_COUNT.size
        yield name, struct.unpack_from(f">{count}i", assignment, at)
        at += 4 * count

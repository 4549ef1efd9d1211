"""The members of the consumer group."""

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from service.errors import KafkaRequestFailed
from service.handler.kafka.client.group_lag import CALL_TIMEOUT_SECONDS
from service.handler.kafka.client.translate import translated

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka.admin import AdminClient


class GroupMember(NamedTuple):
    client_id: str
    partitions: list[int]
    """Those of the order topic, in order. Empty while the group rebalances."""


class GroupMembers:
    """Connects at the first read; not thread-safe."""

    def __init__(self, connect_admin: "Callable[[], AdminClient]", *, group_id: str, topic: str) -> None:
        self._connect_admin = connect_admin
        self._group_id = group_id
        self._topic = topic

    def read_if_available(self) -> list[GroupMember] | None:
        """Return None while Kafka is unavailable or refuses the request."""
        try:
            return self.read()
        except (KafkaRequestFailed, TimeoutError):
            return None

    @translated()
    def read(self) -> list[GroupMember]:
        """Return the members; none if the group does not exist. Raises KafkaRequestFailed, TimeoutError."""
        described = self._admin.describe_consumer_groups([self._group_id], request_timeout=CALL_TIMEOUT_SECONDS)
        members = described[self._group_id].result(CALL_TIMEOUT_SECONDS).members
        return sorted(
            GroupMember(
                member.client_id,
                sorted(each.partition for each in member.assignment.topic_partitions if each.topic == self._topic),
            )
            for member in members
        )

    @cached_property
    def _admin(self) -> "AdminClient":
        return self._connect_admin()

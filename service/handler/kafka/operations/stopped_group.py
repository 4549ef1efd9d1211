"""The consumer group while it has no members, for commands that set its offsets."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from confluent_kafka import Consumer, ConsumerGroupState
from confluent_kafka.admin import AdminClient

from service.errors import CommandFailed
from service.handler.kafka.client.diagnostics import DiagnosticAdminClient
from service.handler.kafka.client.group_state import fetch_group_state
from service.handler.kafka.client.topic_reader import READ_CALL_TIMEOUT_SECONDS, TopicReader

_STATES_WITHOUT_MEMBERS: Final = (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD)


class StoppedGroup(NamedTuple):
    """The topics of the group, and the clients that read them and commit for the group without joining it."""

    admin: DiagnosticAdminClient
    consumer: Consumer
    topics: Sequence[TopicReader]


def require_no_members(group_id: str, admin: AdminClient) -> None:
    """Raise CommandFailed if the group has members. Raises KafkaRequestFailed."""
    if fetch_group_state(admin, group_id, READ_CALL_TIMEOUT_SECONDS) not in _STATES_WITHOUT_MEMBERS:
        raise CommandFailed(
            f"group {group_id} has members: stop the consumers first. "
            "Static members (group.instance.id) stay until their session times out"
        )

"""The consumer group while it has no members, for commands that set its offsets."""

from typing import Final, NamedTuple

from confluent_kafka import Consumer, ConsumerGroupState
from confluent_kafka.admin import AdminClient

from service.errors import CommandFailed
from service.handler.kafka.client.diagnostics import DiagnosticAdminClient
from service.handler.kafka.client.topic_reader import CALL_TIMEOUT_SECONDS, TopicReader
from service.handler.kafka.client.translate import translated

_STATES_WITHOUT_MEMBERS: Final = (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD)


class StoppedGroup(NamedTuple):
    """The order topic, and the clients that read it and commit for the group without joining it."""

    admin: DiagnosticAdminClient
    consumer: Consumer
    topic: TopicReader


@translated()
def require_no_members(group_id: str, admin: AdminClient) -> None:
    """Raise CommandFailed if the group has members."""
    group = admin.describe_consumer_groups([group_id], request_timeout=CALL_TIMEOUT_SECONDS)[group_id].result()
    if group.state not in _STATES_WITHOUT_MEMBERS:
        raise CommandFailed(f"group {group_id} has {len(group.members)} members: stop the consumers first")

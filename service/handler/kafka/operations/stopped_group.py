"""The consumer group while it has no members, for commands that set its offsets."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from confluent_kafka import Consumer, ConsumerGroupState
from confluent_kafka.admin import AdminClient

from service.errors import CommandError
from service.handler.kafka.client import properties
from service.handler.kafka.client.diagnostics import DiagnosticAdminClient, require_kafka
from service.handler.kafka.client.topic_id import fetch_topic_id
from service.handler.kafka.client.topic_reader import CALL_TIMEOUT_SECONDS, TopicReader, open_topic

if TYPE_CHECKING:
    from service.config import KafkaSettings

_STATES_WITHOUT_MEMBERS: Final = (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD)


class StoppedGroup(NamedTuple):
    """The order topic, and the clients that read it and commit for the group without joining it."""

    admin: DiagnosticAdminClient
    consumer: Consumer
    topic: TopicReader


@contextmanager
def stopped_group(kafka: "KafkaSettings", overrides: Mapping[str, Any]) -> Iterator[StoppedGroup]:
    """Connect. `overrides` are properties of the consumer.

    Raises CommandError if Kafka is unreachable, or if the group has members: they would overwrite the new offsets.
    """
    require_kafka(properties.common(kafka))
    admin = DiagnosticAdminClient(properties.without_logs(properties.common(kafka)))
    _require_no_members(kafka.group_id, admin)
    topic_id = fetch_topic_id(admin, kafka.topic, CALL_TIMEOUT_SECONDS)
    with closing(Consumer(properties.command_consumer(kafka) | dict(overrides))) as consumer:
        yield StoppedGroup(admin, consumer, open_topic(consumer, kafka.topic, topic_id))


def _require_no_members(group_id: str, admin: AdminClient) -> None:
    group = admin.describe_consumer_groups([group_id], request_timeout=CALL_TIMEOUT_SECONDS)[group_id].result()
    if group.state not in _STATES_WITHOUT_MEMBERS:
        raise CommandError(f"group {group_id} has {len(group.members)} members: stop the consumers first")

"""Creates the Kafka clients of commands, and the readers and producers that use them."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, Producer

from service.handler.kafka.client import properties
from service.handler.kafka.client.diagnostics import DiagnosticAdminClient, require_kafka
from service.handler.kafka.client.topic_reader import TopicReader, open_committable_topic, open_topic, topics_of
from service.handler.kafka.operations.stopped_group import StoppedGroup, require_no_members
from service.handler.kafka.operations.unreadable_batches import GROUP_PROPERTIES, UnreadableRecordBatches

if TYPE_CHECKING:
    from service.config import KafkaSettings


def admin_client(kafka: "KafkaSettings") -> DiagnosticAdminClient:
    return DiagnosticAdminClient(kafka)


def producer(kafka: "KafkaSettings", delivery_timeout: float) -> Producer:
    """`delivery_timeout` is in seconds."""
    timeout = {"message.timeout.ms": round(delivery_timeout * 1_000)}
    with properties.verified(kafka.properties):
        return Producer(properties.without_logs(properties.producer(kafka)) | timeout)


@contextmanager
def connected_consumer(kafka: "KafkaSettings", overrides: Mapping[str, Any]) -> Iterator[Consumer]:
    """Yield a consumer that never joins its group. Raises KafkaRequestFailed."""
    require_kafka(kafka)
    with closing(_consumer(kafka, overrides)) as consumer:
        yield consumer


@contextmanager
def dead_letter_topic(kafka: "KafkaSettings") -> Iterator[TopicReader]:
    """Yield a reader that cannot commit. Raises KafkaRequestFailed."""
    with connected_consumer(kafka, {}) as consumer:
        yield open_topic(consumer, kafka.dead_letter_topic)


@contextmanager
def stopped_group(
    kafka: "KafkaSettings", overrides: Mapping[str, Any], topic: str | None = None
) -> Iterator[StoppedGroup]:
    """Yield the clients, for all topics of the group or only one; `overrides` are properties of the consumer.

    Raises KafkaRequestFailed; CommandFailed if the group has members: they would overwrite the new offsets.
    """
    with connected_consumer(kafka, overrides) as consumer:
        admin = admin_client(kafka)
        require_no_members(kafka.group_id, admin)
        names = [topic] if topic else topics_of(kafka.subscription, consumer)
        yield StoppedGroup(admin, consumer, [open_committable_topic(consumer, name, admin) for name in names])


@contextmanager
def unreadable_batches(kafka: "KafkaSettings", max_size: int, topic: str) -> Iterator[UnreadableRecordBatches]:
    """`max_size` is the greater size limit in bytes. Raises KafkaRequestFailed, CommandFailed."""
    larger = GROUP_PROPERTIES | {"receive.message.max.bytes": max_size}
    with stopped_group(kafka, GROUP_PROPERTIES, topic) as group, closing(_consumer(kafka, larger)) as large_consumer:
        yield UnreadableRecordBatches(group.consumer, large_consumer, group.admin, *group.topics)


def _consumer(kafka: "KafkaSettings", overrides: Mapping[str, Any]) -> Consumer:
    with properties.verified(kafka.properties):
        return Consumer(properties.silent_consumer(kafka) | dict(overrides))

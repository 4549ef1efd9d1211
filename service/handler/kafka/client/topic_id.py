"""Topic ids, which detect that a topic was deleted and recreated under the same name.

Offsets of the deleted topic are meaningless in the new one. Each commit therefore carries the topic's id in its
metadata, and a consumer compares it with the current id before it continues from the committed offset.
"""

from typing import TYPE_CHECKING, Final

from confluent_kafka import TopicCollection, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    from confluent_kafka.admin import AdminClient
    from confluent_kafka.admin._topic import TopicDescription

_PREFIX: Final = "topic-id="
_NO_ID: Final = "AAAAAAAAAAAAAAAAAAAAAA"
"""Sixteen zero bytes in base64: brokers before Kafka 2.8 have no topic ids."""


def commit_metadata(topic_id: str | None) -> str:
    return f"{_PREFIX}{topic_id}" if topic_id else ""


def offsets_to_commit(topic: str, offsets: "Mapping[int, int]", topic_id: str | None) -> list[TopicPartition]:
    """Return the offsets as arguments of a commit, with the topic's id as metadata."""
    metadata = commit_metadata(topic_id)
    return [TopicPartition(topic, partition, offset, metadata) for partition, offset in offsets.items()]


def has_other_topic_id(committed: TopicPartition, topic_id: str | None) -> bool:
    """Return whether a commit names another topic id. A commit without an id, such as a tool's, is trusted."""
    metadata = committed.metadata or ""
    return bool(topic_id) and metadata.startswith(_PREFIX) and metadata != commit_metadata(topic_id)


def describe(admin: "AdminClient", topic: str, timeout: float) -> "Future[TopicDescription]":
    return admin.describe_topics(TopicCollection([topic]), request_timeout=timeout)[topic]


def fetch_topic_id(admin: "AdminClient", topic: str, timeout: float) -> str:
    """Block until the broker returns the topic's id; empty if it has no ids. Raises KafkaException."""
    return topic_id_of(describe(admin, topic, timeout).result())


def topic_id_of(description: "TopicDescription") -> str:
    topic_id = str(description.topic_id)
    return "" if topic_id == _NO_ID else topic_id

"""Which log a topic's name stands for: a topic that is deleted and created again keeps its name, and gets another id.

Offsets of the deleted log mean nothing in the new one. Each commit therefore carries the id of the log that was read,
in its metadata: whoever reads on there compares it with the topic's id, after a restart as well.
"""

from typing import TYPE_CHECKING, Final

from confluent_kafka import TopicCollection, TopicPartition

if TYPE_CHECKING:
    from concurrent.futures import Future

    from confluent_kafka.admin import AdminClient
    from confluent_kafka.admin._topic import TopicDescription

_PREFIX: Final = "topic-id="
_NO_ID: Final = "AAAAAAAAAAAAAAAAAAAAAA"
"""Sixteen zero bytes: what is reported of a broker before Kafka 2.8."""


def commit_metadata(topic_id: str | None) -> str:
    return f"{_PREFIX}{topic_id}" if topic_id else ""


def is_from_another_log(committed: TopicPartition, topic_id: str | None) -> bool:
    """Tell whether a commit names another log. One that names none, such as a tool's, is trusted."""
    metadata = committed.metadata or ""
    return bool(topic_id) and metadata.startswith(_PREFIX) and metadata != commit_metadata(topic_id)


def describe(admin: "AdminClient", topic: str, timeout: float) -> "Future[TopicDescription]":
    return admin.describe_topics(TopicCollection([topic]), request_timeout=timeout)[topic]


def fetch_topic_id(admin: "AdminClient", topic: str, timeout: float) -> str:
    """Block for the topic's id; empty where the broker has no ids. Raises KafkaException."""
    return topic_id_of(describe(admin, topic, timeout).result())


def topic_id_of(description: "TopicDescription") -> str:
    topic_id = str(description.topic_id)
    return "" if topic_id == _NO_ID else topic_id

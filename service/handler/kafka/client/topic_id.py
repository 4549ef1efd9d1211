"""Topic ids, which detect that a topic was deleted and recreated under the same name.

Offsets of the deleted topic are meaningless in the new one. Each commit therefore carries the topic's id in its
metadata, and a consumer compares it with the current id before it continues from the committed offset.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException, TopicCollection, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    from confluent_kafka.admin import AdminClient
    from confluent_kafka.admin._topic import TopicDescription

_METADATA_TIMEOUT_SECONDS: Final = 0.2
_PREFIX: Final = "topic-id="
_ZERO: Final = "AAAAAAAAAAAAAAAAAAAAAA"
"""Sixteen zero bytes in base64: brokers before Kafka 2.8 have no topic ids."""


@dataclass(frozen=True, slots=True)
class TopicId:
    """An id in base64, or NO_TOPIC_ID."""

    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def exists(self) -> bool:
        return self != NO_TOPIC_ID

    @property
    def commit_metadata(self) -> str:
        return f"{_PREFIX}{self.text}" if self.exists else ""

    def contradicts(self, committed: TopicPartition) -> bool:
        """Return whether a commit names another id. A commit without an id, such as a tool's, is trusted."""
        return self.exists and names_topic_id(committed) and committed.metadata != self.commit_metadata


NO_TOPIC_ID: Final = TopicId("")
"""Id of a topic whose broker has no topic ids, or does not return them."""


def offsets_to_commit(topic: str, offsets: "Mapping[int, int]", topic_id: TopicId) -> list[TopicPartition]:
    """Return the offsets as arguments of a commit, with the topic's id as metadata."""
    return [TopicPartition(topic, partition, offset, topic_id.commit_metadata) for partition, offset in offsets.items()]


def names_topic_id(committed: TopicPartition) -> bool:
    return (committed.metadata or "").startswith(_PREFIX)


def describe_topic(admin: "AdminClient", topic: str, timeout: float) -> "Future[TopicDescription]":
    return admin.describe_topics(TopicCollection([topic]), request_timeout=timeout)[topic]


def fetch_topic_id(admin: "AdminClient", topic: str, timeout: float) -> TopicId:
    """Block until the broker returns the topic's id. Raises KafkaException."""
    return topic_id_of(describe_topic(admin, topic, timeout), admin)


def topic_id_of(answer: "Future[TopicDescription]", admin: "AdminClient") -> TopicId:
    """Return the id in an answer to `describe_topic`. Raises KafkaException.

    The client sends these requests to the broker that it knows as the controller. If that broker is dead, it would look
    for another one only after five minutes. So after a timeout, new metadata is requested, for at most 0.2 s.
    """
    try:
        text = str(answer.result().topic_id)
    except KafkaException as error:
        if error.args[0].name() == "_TIMED_OUT":
            with suppress(KafkaException):
                admin.list_topics(timeout=_METADATA_TIMEOUT_SECONDS)
        raise
    return NO_TOPIC_ID if text == _ZERO else TopicId(text)

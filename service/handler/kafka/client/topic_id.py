"""Topic ids, which detect that a topic was deleted and recreated under the same name.

Offsets of the deleted topic are meaningless in the new one. Each commit therefore carries the topic's id in its
metadata, and a consumer compares it with the current id before it continues from the committed offset.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException, TopicCollection, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from concurrent.futures import Future

    from confluent_kafka.admin import AdminClient
    from confluent_kafka.admin._topic import TopicDescription

    from service.entities.partition import Partition

_METADATA_TIMEOUT_SECONDS: Final = 0.2
_PREFIX: Final = "topic-id="
_NO_EPOCH: Final = -1
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


def offsets_to_commit(
    offsets: "Mapping[Partition, int]",
    topic_ids: "Mapping[str, TopicId]",
    leader_epochs: "Mapping[Partition, int | None]",
) -> list[TopicPartition]:
    """Return the offsets as arguments of a commit.

    The ids of their topics, if they are known, are metadata. `leader_epochs` are those of the records before them.
    """
    return [
        TopicPartition(
            *partition,
            offset,
            topic_ids.get(partition.topic, NO_TOPIC_ID).commit_metadata,
            _NO_EPOCH if (epoch := leader_epochs.get(partition)) is None else epoch,
        )
        for partition, offset in offsets.items()
    ]


def names_topic_id(committed: TopicPartition) -> bool:
    return (committed.metadata or "").startswith(_PREFIX)


def describe_topics(
    admin: "AdminClient", topics: "Collection[str]", timeout: float
) -> "Mapping[str, Future[TopicDescription]]":
    return admin.describe_topics(TopicCollection([*topics]), request_timeout=timeout)


def fetch_topic_id(admin: "AdminClient", topic: str, timeout: float) -> TopicId:
    """Block until the broker returns the topic's id. Raises KafkaException."""
    return fetch_topic_ids(admin, [topic], timeout)[topic]


def fetch_topic_ids(admin: "AdminClient", topics: "Collection[str]", timeout: float) -> dict[str, TopicId]:
    """Block until the broker returns the ids of all these topics. Raises KafkaException."""
    try:
        return {topic: topic_id_of(answer) for topic, answer in describe_topics(admin, topics, timeout).items()}
    except KafkaException as error:
        request_controller(admin, [error])
        raise


def topic_id_of(answer: "Future[TopicDescription]") -> TopicId:
    """Return the id in an answer to `describe_topics`. Raises KafkaException."""
    text = str(answer.result().topic_id)
    return NO_TOPIC_ID if text == _ZERO else TopicId(text)


def request_controller(admin: "AdminClient", errors: "Iterable[KafkaException]") -> None:
    """After a timeout of `describe_topics`, request new metadata, for at most 0.2 s.

    The client sends these requests to the broker that it knows as the controller. If that broker is dead, it would look
    for another one only after five minutes.
    """
    if any(error.args[0].name() == "_TIMED_OUT" for error in errors):
        with suppress(KafkaException):
            admin.list_topics(timeout=_METADATA_TIMEOUT_SECONDS)

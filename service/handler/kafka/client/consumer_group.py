"""The consumer group, its topics and their ids: shared by the consumer and the producer of dead letters."""

import struct
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer

from service.errors import GroupChanged
from service.handler.kafka.client.topic_id import TopicId

if TYPE_CHECKING:
    from collections.abc import Mapping

_METADATA: Final = struct.Struct("=7si")
"""The start of librdkafka's serialized group metadata: its format, and the generation."""
_FORMAT: Final = b"CGMDv2:"


class ConsumerGroup:
    """Each attribute is written by one thread; reading it is safe in any thread.

    With `is_transactional`, the writing thread commits offsets. It must not call the consumer itself, because a client
    serves one thread at a time: the reading thread copies the metadata that such a commit needs.
    """

    def __init__(self, topics: tuple[str, ...], *, pattern: str = "", is_transactional: bool = False) -> None:
        """`topics` are those that the group subscribes to by name, instead of a pattern."""
        self.topics = topics
        self.subscription = [pattern] if pattern else [*topics]
        """The topics, or the pattern, as an argument of the client's `subscribe`."""
        self.is_transactional = is_transactional
        self._metadata = b""
        self.topic_ids: Mapping[str, TopicId] = {}
        """Those that are known, by topic. The reading thread replaces the mapping, and never changes it."""

    def set_topic_id(self, topic: str, topic_id: TopicId) -> None:
        """Set the id of a topic. Called by the reading thread."""
        self.topic_ids = {**self.topic_ids, topic: topic_id}

    def refresh(self, consumer: Consumer) -> None:
        """Copy the metadata, whose generation may change at any poll. Called by the reading thread."""
        if self.is_transactional:
            self._metadata = consumer.consumer_group_metadata()

    @property
    def metadata(self) -> bytes:
        """The metadata for committing offsets in a transaction. Called by the writing thread.

        Raises GroupChanged without a generation: the broker would accept the offsets even if the partitions have
        another owner.
        """
        if not has_generation(self._metadata):
            raise GroupChanged("this consumer is not a member of its group: it is joining again")
        return self._metadata


def has_generation(metadata: bytes) -> bool:
    """Return whether the metadata has a generation, which starts at 1. An unknown format counts as having none."""
    if len(metadata) < _METADATA.size:
        return False
    format_, generation = _METADATA.unpack_from(metadata)
    return bool(format_ == _FORMAT and generation > 0)

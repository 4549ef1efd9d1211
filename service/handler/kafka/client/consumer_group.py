"""The consumer group, its topic and the topic's id: shared by the consumer and the producer of dead letters."""

import logging
import struct
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from service.errors import GroupChanged
from service.handler.kafka.client.topic_id import NO_TOPIC_ID, TopicId, fetch_topic_id, offsets_to_commit

QUIET_PROPERTIES: Final = {"log_level": 0, "statistics.interval.ms": 0}
"""For further clients of a consumer, which logs connection errors already."""
_CALL_TIMEOUT_SECONDS: Final = 5.0
_GENERATION: Final = struct.Struct("=7xi")
"""Where the generation is in librdkafka's serialized group metadata."""


class ConsumerGroup:
    """Each attribute is written by one thread; reading it is safe in any thread.

    With `is_transactional`, the writing thread commits offsets. It must not call the consumer itself, because a client
    serves one thread at a time: the reading thread copies the metadata that such a commit needs.
    """

    def __init__(self, properties: dict[str, Any], topic: str, *, is_transactional: bool = False) -> None:
        self.properties = properties
        self.topic = topic
        self._is_transactional = is_transactional
        self._metadata = b""
        self.topic_id: TopicId | None = None
        """Set by the reading thread. None until it is known."""
        self._admin: AdminClient | None = None

    def refresh(self, consumer: Consumer) -> None:
        """Copy the metadata, whose generation may change at any poll. For the reading thread."""
        if self._is_transactional:
            self._metadata = consumer.consumer_group_metadata()

    @property
    def metadata(self) -> bytes:
        """The metadata for committing offsets in a transaction. For the writing thread.

        Raises GroupChanged without a generation: the broker would accept the offsets even if the partitions have
        another owner.
        """
        if not has_generation(self._metadata):
            raise GroupChanged("this consumer is not a member of its group: it is joining again")
        return self._metadata

    def have_committed(self, offsets: Mapping[int, int], topic_id: TopicId | None) -> bool:
        """Return whether the group has committed these offsets of the topic with this id. For the writing thread.

        Blocks until pending transactions of these partitions have ended. Raises KafkaException.
        """
        with closing(self._client()) as client:
            committed = client.committed(self.offsets_to_commit(offsets), timeout=_CALL_TIMEOUT_SECONDS)
        current = topic_id or NO_TOPIC_ID
        return all(each.offset >= offsets[each.partition] and not current.contradicts(each) for each in committed)

    def require_topic(self, topic_id: TopicId | None) -> None:
        """Raise GroupChanged if the topic was recreated since it had this id. For the writing thread. Blocks.

        Raises KafkaException if the broker does not return the id.
        """
        if topic_id is None or not topic_id.exists:
            return
        if fetch_topic_id(self._admin_client(), self.topic, _CALL_TIMEOUT_SECONDS) != topic_id:
            raise GroupChanged(f"the topic {self.topic} was deleted and created again: it will be read again")

    def offsets_to_commit(self, offsets: Mapping[int, int], topic_id: TopicId | None = None) -> list[TopicPartition]:
        """Return the offsets with the topic id as metadata. For any thread."""
        return offsets_to_commit(self.topic, offsets, topic_id or NO_TOPIC_ID)

    def _admin_client(self) -> AdminClient:
        if self._admin is None:
            self._admin = AdminClient(self.properties | QUIET_PROPERTIES)
        return self._admin

    def _client(self) -> Consumer:
        """Return a client with the group's id that never joins the group."""
        return Consumer(self.properties, logger=logging.getLogger("librdkafka"))


def has_generation(metadata: bytes) -> bool:
    """Return whether the metadata has a generation, which starts at 1."""
    return len(metadata) >= _GENERATION.size and _GENERATION.unpack_from(metadata)[0] > 0

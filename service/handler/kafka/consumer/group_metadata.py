"""The consumer's group membership, for the writing thread.

The client serves one thread at a time, which is nearly always the reading one.
"""

import logging
import struct
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from service.errors import CommandError
from service.handler.kafka.client.mock_cluster import is_mock_cluster
from service.handler.kafka.client.topic_id import offsets_to_commit

_CALL_TIMEOUT_SECONDS: Final = 5.0
_GENERATION: Final = struct.Struct("=7xi")
"""The position of the generation in librdkafka's serialised group metadata."""


class GroupMetadata:
    """`renew` is for the reading thread, what follows it for the writing one, if that `commits`."""

    def __init__(self, properties: dict[str, Any], topic: str, *, commits: bool = False) -> None:
        self.properties = properties
        self.topic = topic
        self._commits = commits
        self._metadata = b""
        self.topic_id: str | None = None
        """The id of the topic that is read; None until it is known, empty if the broker has no topic ids."""

    def refresh(self, consumer: Consumer) -> None:
        """Take over the current generation, which may change at any poll."""
        if self._commits:
            self._metadata = consumer.consumer_group_metadata()

    @property
    def metadata(self) -> bytes:
        """The metadata for committing offsets in a transaction. Raises KafkaException while this is no member.

        Without a generation the broker would accept the offsets although the partitions have another owner.
        """
        if not has_generation(self._metadata):
            raise KafkaException(KafkaError(KafkaError.UNKNOWN_MEMBER_ID))
        return self._metadata

    def have_committed(self, offsets: Mapping[int, int]) -> bool:
        """Return whether the group has committed these offsets; waits for pending ones. Raises KafkaException."""
        with closing(self._client()) as client:
            committed = client.committed(self.offsets_to_commit(offsets), timeout=_CALL_TIMEOUT_SECONDS)
        return all(each.offset >= offsets[each.partition] for each in committed)

    def refuse_mock(self) -> None:
        """Raise CommandError for librdkafka's mock cluster, which delivers aborted messages."""
        with closing(self._client()) as client:
            if is_mock_cluster(client, _CALL_TIMEOUT_SECONDS):
                raise CommandError("ORDERS_DEAD_LETTERS__EXACTLY_ONCE needs a real Kafka, not the mock")

    def offsets_to_commit(self, offsets: Mapping[int, int], topic_id: str | None = None) -> list[TopicPartition]:
        """Return what to commit, with the topic id as metadata."""
        return offsets_to_commit(self.topic, offsets, topic_id)

    def _client(self) -> Consumer:
        """Return another client with the group's id, which never joins it."""
        return Consumer(self.properties, logger=logging.getLogger("librdkafka"))


def has_generation(metadata: bytes) -> bool:
    """Return whether the metadata has a generation, which starts at 1."""
    return len(metadata) >= _GENERATION.size and _GENERATION.unpack_from(metadata)[0] > 0

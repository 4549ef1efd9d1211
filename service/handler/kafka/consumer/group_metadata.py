"""Which group and topic a consumer is a member of, and what its writing thread has to know of that.

That can't ask the client itself, which lets in one thread at a time: the reading one nearly always is.
"""

import logging
import struct
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from service.entities.errors import CommandRefused
from service.handler.kafka.client.mock_cluster import is_mock_cluster
from service.handler.kafka.client.topic_id import commit_metadata

_CALL_SECONDS: Final = 5.0
_GENERATION: Final = struct.Struct("=7xi")
"""Where the generation stands in what librdkafka writes down of a membership."""


class GroupMetadata:
    """`renew` is for the reading thread, what follows it for the writing one, if that `commits`."""

    def __init__(self, properties: dict[str, Any], topic: str, *, commits: bool = False) -> None:
        self.properties = properties
        self.topic = topic
        self._commits = commits
        self._metadata = b""
        self.topic_id: str | None = None
        """Of the log that is read; None until it was looked up, empty where the broker has no ids."""

    def refresh(self, consumer: Consumer) -> None:
        """Look again which generation of the group the client is in; each may be the last for only a moment."""
        if self._commits:
            self._metadata = consumer.consumer_group_metadata()

    @property
    def metadata(self) -> bytes:
        """What offsets have to be sent with. Raises KafkaException while the group does not have us.

        Without a generation the broker would take offsets from anybody, and those of the next owner would be lost.
        """
        if not is_of_a_member(self._metadata):
            raise KafkaException(KafkaError(KafkaError.UNKNOWN_MEMBER_ID))
        return self._metadata

    def have_committed(self, offsets: Mapping[int, int]) -> bool:
        """Tell whether the group stands at these offsets; pending ones are waited for. Raises KafkaException."""
        with closing(self._client()) as client:
            committed = client.committed(self.places(offsets), timeout=_CALL_SECONDS)
        return all(place.offset >= offsets[place.partition] for place in committed)

    def refuse_mock(self) -> None:
        """Raise CommandRefused where the broker is librdkafka's imitation, which shows what was aborted."""
        with closing(self._client()) as client:
            if is_mock_cluster(client, _CALL_SECONDS):
                raise CommandRefused("ORDERS_DEAD_LETTERS__EXACTLY_ONCE needs a real Kafka, not the mock")

    def places(self, offsets: Mapping[int, int], topic_id: str | None = None) -> list[TopicPartition]:
        """Return what to commit; it names the log that the offsets are of."""
        metadata = commit_metadata(topic_id)
        return [TopicPartition(self.topic, partition, offset, metadata) for partition, offset in offsets.items()]

    def _client(self) -> Consumer:
        """Return another client of the group, which never joins it."""
        return Consumer(self.properties, logger=logging.getLogger("librdkafka"))


def is_of_a_member(metadata: bytes) -> bool:
    """Tell whether it has a generation, the first of which is 1."""
    return len(metadata) >= _GENERATION.size and _GENERATION.unpack_from(metadata)[0] > 0

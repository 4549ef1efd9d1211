"""Asks the brokers whether a transaction of dead letters may begin, and whether one was committed."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from service.entities.partition import Partition
from service.errors import GroupChanged
from service.handler.kafka.client.offset_queries import committed_offsets
from service.handler.kafka.client.partitions import partition_of
from service.handler.kafka.client.topic_id import NO_TOPIC_ID, TopicId, fetch_topic_id

TRANSACTION_CALL_TIMEOUT_SECONDS: Final = 5.0
"""How long a call of a transaction may take: three of them fit into the time of a stop."""


@dataclass(frozen=True, slots=True)
class TransactionChecks:
    """Belongs to the writing thread, which must not call the group's member: a client serves one thread at a time.

    `connect` creates a consumer with the group's id, which never joins the group. Each method blocks for seconds, and
    raises KafkaException if the broker does not answer.
    """

    admin: AdminClient
    connect: Callable[[], Consumer]

    def require_topics(self, topics: Iterable[str], topic_ids: Mapping[str, TopicId]) -> None:
        """Raise GroupChanged if one of the topics was recreated since it had this id."""
        for topic in topics:
            topic_id = topic_ids.get(topic, NO_TOPIC_ID)
            if topic_id.exists and fetch_topic_id(self.admin, topic, TRANSACTION_CALL_TIMEOUT_SECONDS) != topic_id:
                raise GroupChanged(f"the topic {topic} was deleted and created again: it will be read again")

    def have_committed(self, offsets: Mapping[Partition, int], topic_ids: Mapping[str, TopicId]) -> bool:
        """Return whether the group has committed these offsets of the topics with these ids.

        Blocks until pending transactions of these partitions have ended.
        """
        wanted = [TopicPartition(*partition) for partition in offsets]
        with closing(self.connect()) as client:
            committed = committed_offsets(client, wanted, TRANSACTION_CALL_TIMEOUT_SECONDS)
        return all(
            each.offset >= offsets[partition_of(each)] and not topic_ids.get(each.topic, NO_TOPIC_ID).contradicts(each)
            for each in committed
        )

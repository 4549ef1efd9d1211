"""Asks the brokers whether a transaction of dead letters may begin, and whether one was committed."""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from service.errors import GroupChanged
from service.handler.kafka.client.offset_queries import committed_offsets
from service.handler.kafka.client.topic_id import NO_TOPIC_ID, TopicId, fetch_topic_id

TRANSACTION_CALL_TIMEOUT_SECONDS: Final = 5.0
"""How long a call of a transaction may take: three of them fit into the time of a stop."""


@dataclass(frozen=True, slots=True)
class TransactionChecks:
    """Belongs to the writing thread, which must not call the group's member: a client serves one thread at a time.

    `connect` creates a consumer with the group's id, which never joins the group. Each method blocks for seconds, and
    raises KafkaException if the broker does not answer.
    """

    topic: str
    """The order topic."""
    admin: AdminClient
    connect: Callable[[], Consumer]

    def require_topic(self, topic_id: TopicId | None) -> None:
        """Raise GroupChanged if the topic was recreated since it had this id."""
        if topic_id is None or not topic_id.exists:
            return
        if fetch_topic_id(self.admin, self.topic, TRANSACTION_CALL_TIMEOUT_SECONDS) != topic_id:
            raise GroupChanged(f"the topic {self.topic} was deleted and created again: it will be read again")

    def have_committed(self, offsets: Mapping[int, int], topic_id: TopicId | None) -> bool:
        """Return whether the group has committed these offsets of the topic with this id.

        Blocks until pending transactions of these partitions have ended.
        """
        wanted = [TopicPartition(self.topic, partition) for partition in offsets]
        with closing(self.connect()) as client:
            committed = committed_offsets(client, wanted, TRANSACTION_CALL_TIMEOUT_SECONDS)
        current = topic_id or NO_TOPIC_ID
        return all(each.offset >= offsets[each.partition] and not current.contradicts(each) for each in committed)

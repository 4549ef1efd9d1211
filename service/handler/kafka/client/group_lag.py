"""The lag of the consumer group and the number of dead letters."""

from functools import cached_property
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from service.entities.partition import Partition
from service.entities.subscription import Subscription
from service.errors import KafkaRequestFailed
from service.handler.kafka.client.offset_queries import committed_offsets
from service.handler.kafka.client.partitions import partition_of
from service.handler.kafka.client.timeouts import result_within
from service.handler.kafka.client.topic_id import NO_TOPIC_ID, fetch_topic_ids, names_topic_id
from service.handler.kafka.client.translate import translated
from service.usecases.ports.stats import PartitionDepth, TopicDepths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

GROUP_CALL_TIMEOUT_SECONDS: Final = 2.0


_OffsetsByPartition = dict[Partition, int]


class GroupLag:
    """Implements usecases.ports.stats.LagReader. Connects to the brokers at the first read; not thread-safe.

    `connect_consumer` creates a consumer with the group's id, which never joins it. `call_timeout` is in seconds.
    """

    def __init__(
        self,
        connect_admin: "Callable[[], AdminClient]",
        connect_consumer: "Callable[[], Consumer]",
        *,
        subscription: Subscription,
        dead_letter_topic: str,
        call_timeout: float = GROUP_CALL_TIMEOUT_SECONDS,
    ) -> None:
        self._connect_admin = connect_admin
        self._connect_consumer = connect_consumer
        self._subscription = subscription
        self._dead_letter_topic = dead_letter_topic
        self._call_timeout = call_timeout

    def read_if_available(self) -> TopicDepths | None:
        """Return None while Kafka is unavailable."""
        try:
            return self.read()
        except KafkaRequestFailed:
            return None

    @translated()
    def read(self) -> TopicDepths:
        """Block for at most six times the call timeout. Raises KafkaRequestFailed."""
        partitions = self._partitions()
        first = self._offsets(partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        end = self._stable_ends(partitions)
        following = first | self._committed(self._own(partitions))
        dead_letters = sum(end[each] - first[each] for each in end if each.topic == self._dead_letter_topic)
        depths = {
            each: PartitionDepth(following[each], max(end[each] - following[each], 0))
            for each in sorted(end)
            if each.topic != self._dead_letter_topic
        }
        return TopicDepths(depths, dead_letters)

    @translated()
    def open_transaction_messages(self) -> int:
        """Count the messages of the group's topics after the last stable offset. Raises KafkaRequestFailed.

        The end is read first, so that new messages do not count.
        """
        partitions = self._own(self._partitions())
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        ends = self._offsets(partitions, latest, IsolationLevel.READ_UNCOMMITTED)
        stable = self._stable_ends(partitions)
        return sum(max(end - stable[each], 0) for each, end in ends.items())

    @cached_property
    def _admin(self) -> AdminClient:
        return self._connect_admin()

    @cached_property
    def _consumer(self) -> Consumer:
        return self._connect_consumer()

    def _partitions(self) -> list[TopicPartition]:
        """Return the partitions of the group's topics and of the dead-letter topic."""
        existing = self._admin.list_topics(timeout=self._call_timeout).topics
        names = [*self._subscription.select(existing), self._dead_letter_topic]
        return [
            TopicPartition(name, number) for name in names if name in existing for number in existing[name].partitions
        ]

    def _own(self, partitions: "Iterable[TopicPartition]") -> list[TopicPartition]:
        return [each for each in partitions if each.topic != self._dead_letter_topic]

    def _stable_ends(self, partitions: "Iterable[TopicPartition]") -> _OffsetsByPartition:
        return self._offsets(partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]

    def _offsets(
        self,
        partitions: "Iterable[TopicPartition]",
        which: OffsetSpec,
        isolation_level: IsolationLevel = IsolationLevel.READ_COMMITTED,
    ) -> _OffsetsByPartition:
        requests = self._admin.list_offsets(
            dict.fromkeys(partitions, which), isolation_level=isolation_level, request_timeout=self._call_timeout
        )
        return {
            partition_of(each): result_within(self._call_timeout, answer).offset for each, answer in requests.items()
        }

    def _committed(self, partitions: list[TopicPartition]) -> _OffsetsByPartition:
        """Return the committed offsets of the partitions that have any. Those of a deleted topic do not count.

        This does not use the AdminClient: confluent-kafka 2.16 crashes if the group's coordinator returns an error.
        """
        if not partitions:
            return {}
        committed = committed_offsets(self._consumer, partitions, self._call_timeout)
        valid = self._without_deleted_topics([each for each in committed if each.offset >= 0])
        return {partition_of(each): each.offset for each in valid}

    def _without_deleted_topics(self, committed: list[TopicPartition]) -> list[TopicPartition]:
        """Query ids only if they are needed, because not every broker returns them."""
        named = {each.topic for each in committed if names_topic_id(each)}
        topic_ids = fetch_topic_ids(self._admin, named, self._call_timeout) if named else {}
        return [each for each in committed if not topic_ids.get(each.topic, NO_TOPIC_ID).contradicts(each)]

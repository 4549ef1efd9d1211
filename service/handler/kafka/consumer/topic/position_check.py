"""Verifies that the position of each partition belongs to the current topic, and to what is left of its log.

It may belong to a deleted topic of the same name, or to messages that the partition has lost.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from time import monotonic
from typing import TYPE_CHECKING, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from structlog.typing import FilteringBoundLogger

from service.entities.partition import Partition, by_topic
from service.handler.kafka.client.error_phrases import error_fields
from service.handler.kafka.client.offset_queries import committed_offsets
from service.handler.kafka.client.partitions import partition_of
from service.handler.kafka.client.reassign import reassign, seek
from service.handler.kafka.client.record import position_of
from service.handler.kafka.client.topic_id import TopicId
from service.handler.kafka.consumer.topic.identity import TopicIdentities
from service.pkg.log_throttle import LOG_INTERVAL_SECONDS, LogThrottle

if TYPE_CHECKING:
    from service.metrics import ConsumptionMetrics

_COMMITTED_TIMEOUT_SECONDS: Final = 5.0
_RETRY_INTERVAL_SECONDS: Final = 1.0


class _Position(Enum):
    UNKNOWN = auto()
    """The client has not found it yet, so the group's offsets cannot be queried."""
    FOUND = auto()
    """It may belong to a deleted topic of the same name."""
    OUT_OF_RANGE = auto()
    """The same. If it does not, OffsetResets moves it."""
    IN_DELETED_TOPIC = auto()


_KNOWN: Final = (_Position.FOUND, _Position.OUT_OF_RANGE)


@dataclass(slots=True)
class _Unverified:
    """A partition whose messages are withheld."""

    position: _Position = _Position.UNKNOWN
    resume_at: int | None = None
    """The offset of the first message that was withheld."""

    def on_position_found(self) -> None:
        if self.position is _Position.UNKNOWN:
            self.position = _Position.FOUND

    def on_out_of_range(self) -> None:
        if self.position is not _Position.IN_DELETED_TOPIC:
            self.position = _Position.OUT_OF_RANGE

    def resume_position(self, committed: TopicPartition) -> TopicPartition | None:
        """Return where to read on; None at the present position.

        At the committed offset if its leader epoch is known: when the client seeks, it asks the broker whether the log
        still ends after the offset in this epoch. If not, it reports that the position is out of range.
        """
        partition = partition_of(committed)
        if self.position is _Position.FOUND and committed.offset >= 0 and committed.leader_epoch is not None:
            return TopicPartition(*partition, committed.offset, leader_epoch=committed.leader_epoch)
        return None if self.resume_at is None else TopicPartition(*partition, self.resume_at)


class PositionCheck:
    """Withholds the messages of a partition until it is known to which topic its position belongs.

    A recreated topic is read from its beginning.
    """

    def __init__(
        self,
        *,
        client: Consumer,
        identities: TopicIdentities,
        metrics: "ConsumptionMetrics",
        log: FilteringBoundLogger,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._client = client
        self._identities = identities
        self._metrics = metrics
        self._log = log
        self._now = now
        self._throttle = LogThrottle(LOG_INTERVAL_SECONDS, now)
        self._next_query_at = 0.0
        self._unverified: dict[Partition, _Unverified] = {}

    @property
    def unverified(self) -> Collection[Partition]:
        return self._unverified.keys()

    def is_verified(self, partition: Partition) -> bool:
        """Return whether the position belongs to the current topic. False while its id is fetched again."""
        return partition not in self._unverified and not self._identities.of(partition.topic).is_awaited

    def on_out_of_range(self, partition: Partition) -> None:
        """Fetch the topic id immediately: a position out of range may belong to a deleted topic."""
        if partition in self._unverified:
            self._unverified[partition].on_out_of_range()
        self._identities.refetch(partition.topic)

    def fetch_new_topic_ids(self) -> Mapping[str, TopicId]:
        """Return the ids of recreated topics, for `switch_topic`. Never blocks."""
        delivering = {partition.topic for partition, each in self._unverified.items() if each.position in _KNOWN}
        return self._identities.fetch_new(delivering)

    def switch_topic(self, topic: str, topic_id: TopicId, partitions: Collection[Partition]) -> None:
        """Read the recreated topic. The caller has dropped every message and offset of the deleted one."""
        self._identities.of(topic).switch(topic_id)
        self._unverified |= {partition: _Unverified(_Position.IN_DELETED_TOPIC) for partition in partitions}

    def add(self, partitions: Collection[Partition]) -> None:
        """Verify newly assigned partitions, later: a callback of the client must not wait for Kafka."""
        self._unverified |= {partition: _Unverified() for partition in partitions}

    def drop(self, partitions: Collection[Partition]) -> None:
        for partition in partitions:
            self._unverified.pop(partition, None)

    def mark_position_known(self, partitions: Collection[Partition]) -> None:
        """Record that the client has positions in these partitions."""
        for partition in self._unverified.keys() & partitions:
            self._unverified[partition].on_position_found()

    def withhold(self, partition: Partition, offset: int) -> bool:
        """Return whether a message must be withheld. If so, its partition is read again from it once it is verified."""
        unverified = self._unverified.get(partition)
        if unverified is None:
            return False
        unverified.on_position_found()
        unverified.resume_at = offset if unverified.resume_at is None else min(offset, unverified.resume_at)
        return True

    def withhold_unverified(self, messages: list[Message]) -> list[Message]:
        """Withhold the messages of unverified partitions; return the others."""
        if not self._unverified:
            return messages
        return [each for each in messages if not self.withhold(*position_of(each))]

    def verify(self) -> list[TopicPartition]:
        """Resume verified partitions; return the partitions that moved. Blocks for seconds if Kafka is slow."""
        if not self._unverified:
            return []
        return self._move(self._seek(self._verify_offsets()) | self._restart_offsets())

    def _verify_offsets(self) -> list[TopicPartition]:
        """Query to which topic the committed offsets belong.

        Returns where to read the partitions on whose positions belong to the current topic.
        """
        queried = [partition for partition, each in self._unverified.items() if self._can_be_queried(partition, each)]
        if not queried or self._now() < self._next_query_at:
            return []
        try:
            answers = self._committed(queried)
        except KafkaException as error:
            self._next_query_at = self._now() + _RETRY_INTERVAL_SECONDS
            self._log_failed_query(queried, error.args[0])
            return []
        positions = []
        for answer in answers:
            partition = partition_of(answer)
            unverified = self._unverified[partition]
            if self._identities.of(partition.topic).contradicts(answer):
                unverified.position = _Position.IN_DELETED_TOPIC
                continue
            del self._unverified[partition]
            if (position := unverified.resume_position(answer)) is not None:
                positions.append(position)
        return positions

    def _log_failed_query(self, partitions: list[Partition], error: KafkaError) -> None:
        if self._throttle.is_due(error.name()):
            self._log.warning(
                "cannot find the group's offsets yet", partitions=[*map(str, partitions)], **error_fields(error)
            )

    def _can_be_queried(self, partition: Partition, unverified: _Unverified) -> bool:
        identity = self._identities.of(partition.topic)
        return identity.is_known and (
            unverified.position in _KNOWN or (unverified.position is _Position.UNKNOWN and not identity.exists)
        )

    def _restart_offsets(self) -> dict[Partition, int]:
        """Return the beginning of each partition whose position belongs to a deleted topic."""
        restarted = [
            partition
            for partition, each in self._unverified.items()
            if each.position is _Position.IN_DELETED_TOPIC and self._identities.of(partition.topic).is_settled
        ]
        self.drop(restarted)
        for topic, numbers in by_topic(restarted).items():
            self._metrics.topic_recreations.inc()
            self._log.error(
                "the topic was deleted and created again: it is read from its beginning",
                topic=topic, topic_id=str(self._identities.of(topic)), partitions=numbers,
            )  # fmt: skip
        return dict.fromkeys(restarted, OFFSET_BEGINNING)

    def _seek(self, positions: list[TopicPartition]) -> dict[Partition, int]:
        """Seek; return the positions at which the client rejected it."""
        rejected = seek(self._client, positions)
        return {partition_of(each): each.offset for each in rejected}

    def _move(self, positions: dict[Partition, int]) -> list[TopicPartition]:
        moved = [TopicPartition(*partition, offset) for partition, offset in positions.items()]
        if moved:
            reassign(self._client, moved)
        return moved

    def _committed(self, partitions: list[Partition]) -> list[TopicPartition]:
        """Return the group's offsets. Those in topics without an id contradict none: they are not queried."""
        with_id = [TopicPartition(*each) for each in partitions if self._identities.of(each.topic).exists]
        others = [TopicPartition(*each) for each in partitions if not self._identities.of(each.topic).exists]
        return others + (committed_offsets(self._client, with_id, _COMMITTED_TIMEOUT_SECONDS) if with_id else [])

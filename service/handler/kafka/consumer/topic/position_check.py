"""Verifies that the position of each partition belongs to the current topic, and not to a deleted one of its name."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum, auto
from time import monotonic
from typing import TYPE_CHECKING, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from structlog.typing import FilteringBoundLogger

from service.handler.kafka.client.error_phrases import error_fields
from service.handler.kafka.client.offset_queries import committed_offsets
from service.handler.kafka.client.reassign import reassign, seek
from service.handler.kafka.client.record import position_of
from service.handler.kafka.client.topic_id import TopicId
from service.handler.kafka.consumer.topic.identity import TopicIdentity
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
    IN_DELETED_TOPIC = auto()


@dataclass(slots=True)
class _Unverified:
    """A partition whose messages are withheld."""

    position: _Position = _Position.UNKNOWN
    resume_at: int | None = None
    """The offset of the first message that was withheld."""

    def on_position_found(self) -> None:
        if self.position is _Position.UNKNOWN:
            self.position = _Position.FOUND


class PositionCheck:
    """Withholds the messages of a partition until it is known to which topic its position belongs.

    A recreated topic is read from its beginning.
    """

    def __init__(
        self,
        *,
        client: Consumer,
        topic: str,
        identity: TopicIdentity,
        metrics: "ConsumptionMetrics",
        log: FilteringBoundLogger,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._client = client
        self._topic = topic
        self._identity = identity
        self._metrics = metrics
        self._log = log
        self._now = now
        self._throttle = LogThrottle(LOG_INTERVAL_SECONDS, now)
        self._next_query_at = 0.0
        self._unverified: dict[int, _Unverified] = {}

    @property
    def unverified(self) -> Collection[int]:
        return self._unverified.keys()

    @property
    def awaits_topic_id(self) -> bool:
        """Whether a position was out of range, and the topic id has not been fetched since."""
        return self._identity.is_awaited

    def on_out_of_range(self, partition: int) -> None:
        """Fetch the topic id immediately: a position out of range may belong to a deleted topic."""
        self.mark_position_known([partition])
        self._identity.refetch()

    def fetch_new_topic_id(self) -> TopicId | None:
        """Return the id of a recreated topic, for `switch_topic`; None if the topic is still the same. Never blocks."""
        is_delivering = any(each.position is _Position.FOUND for each in self._unverified.values())
        return self._identity.fetch_new(is_delivering=is_delivering)

    def switch_topic(self, topic_id: TopicId, partitions: Collection[int]) -> None:
        """Read the recreated topic. The caller has dropped every message and offset of the deleted one."""
        self._identity.switch(topic_id)
        self._unverified |= {partition: _Unverified(_Position.IN_DELETED_TOPIC) for partition in partitions}

    def add(self, partitions: Collection[int]) -> None:
        """Verify newly assigned partitions, later: a callback of the client must not wait for Kafka."""
        self._unverified |= {partition: _Unverified() for partition in partitions}

    def drop(self, partitions: Collection[int]) -> None:
        for partition in partitions:
            self._unverified.pop(partition, None)

    def mark_position_known(self, partitions: Collection[int]) -> None:
        """Record that the client has positions in these partitions."""
        for partition in self._unverified.keys() & partitions:
            self._unverified[partition].on_position_found()

    def withhold(self, partition: int, offset: int) -> bool:
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
        return [each for each in messages if not self._withhold(each)]

    def _withhold(self, message: Message) -> bool:
        _, partition, offset = position_of(message)
        return self.withhold(partition, offset)

    def verify(self) -> list[TopicPartition]:
        """Resume verified partitions; return the partitions that moved. Blocks for seconds if Kafka is slow."""
        if not self._unverified:
            return []
        if not self._identity.is_known:
            return []
        return self._move(self._seek(self._verify_offsets()) | self._restart_offsets())

    def _verify_offsets(self) -> dict[int, int]:
        """Query to which topic the committed offsets belong.

        Returns the offsets of the first withheld messages of partitions that belong to the current topic.
        """
        queried = [number for number, each in self._unverified.items() if self._can_be_queried(each)]
        if not queried or self._now() < self._next_query_at:
            return {}
        try:
            answers = self._committed(queried)
        except KafkaException as error:
            self._next_query_at = self._now() + _RETRY_INTERVAL_SECONDS
            self._log_failed_query(queried, error.args[0])
            return {}
        positions = {}
        for answer in answers:
            unverified = self._unverified[answer.partition]
            if self._identity.contradicts(answer):
                unverified.position = _Position.IN_DELETED_TOPIC
                continue
            del self._unverified[answer.partition]
            if unverified.resume_at is not None:
                positions[answer.partition] = unverified.resume_at
        return positions

    def _log_failed_query(self, partitions: list[int], error: KafkaError) -> None:
        if self._throttle.is_due(error.name()):
            self._log.warning("cannot find the group's offsets yet", partitions=partitions, **error_fields(error))

    def _can_be_queried(self, unverified: _Unverified) -> bool:
        return unverified.position is _Position.FOUND or (
            unverified.position is _Position.UNKNOWN and not self._identity.exists
        )

    def _restart_offsets(self) -> dict[int, int]:
        """Return the beginning of each partition whose position belongs to a deleted topic."""
        if not self._identity.is_settled:
            return {}
        restarted = [number for number, each in self._unverified.items() if each.position is _Position.IN_DELETED_TOPIC]
        if restarted:
            self.drop(restarted)
            self._metrics.topic_recreations.inc()
            self._log.error(
                "the topic was deleted and created again: it is read from its beginning",
                topic=self._topic, topic_id=str(self._identity), partitions=sorted(restarted),
            )  # fmt: skip
        return dict.fromkeys(restarted, OFFSET_BEGINNING)

    def _seek(self, positions: dict[int, int]) -> dict[int, int]:
        """Seek; return the positions at which the client rejected it."""
        rejected = seek(self._client, [TopicPartition(self._topic, *position) for position in positions.items()])
        return {each.partition: each.offset for each in rejected}

    def _move(self, positions: dict[int, int]) -> list[TopicPartition]:
        moved = [TopicPartition(self._topic, partition, offset) for partition, offset in positions.items()]
        if moved:
            reassign(self._client, moved)
        return moved

    def _committed(self, partitions: list[int]) -> list[TopicPartition]:
        topic_partitions = [TopicPartition(self._topic, partition) for partition in partitions]
        if not self._identity.exists:
            return topic_partitions
        return committed_offsets(self._client, topic_partitions, _COMMITTED_TIMEOUT_SECONDS)

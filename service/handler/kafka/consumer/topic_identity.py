"""Detects that the topic was deleted and recreated, and reads the new topic from its beginning."""

from collections.abc import Collection
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from structlog.typing import FilteringBoundLogger

from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.client.mock_cluster import is_mock_cluster
from service.handler.kafka.client.topic_id import describe, has_other_topic_id, topic_id_of

if TYPE_CHECKING:
    from concurrent.futures import Future

    from confluent_kafka.admin._topic import TopicDescription

    from service.metrics import Metrics

_LOOKUP_INTERVAL_SECONDS: Final = 1.0
_LOOKUP_TIMEOUT_SECONDS: Final = 2.0
_LOOKUP_DEADLINE_SECONDS: Final = 10.0
_MOCK_TIMEOUT_SECONDS: Final = 1.0
_SETTLE_SECONDS: Final = 1.0
"""How long an id must be known before the topic is read: brokers know the id shortly before they serve the topic."""
_COMMITTED_TIMEOUT_SECONDS: Final = 5.0
_RETRY_INTERVAL_SECONDS: Final = 1.0


@dataclass(slots=True)
class _Unverified:
    """A partition whose position may belong to a deleted topic of the same name."""

    is_from_deleted_topic: bool = False
    is_position_known: bool = False
    """Whether the client has found the position. Only then can the group's offsets be queried."""
    resume_at: int | None = None
    """The offset of the first message that was withheld."""


class TopicIdentity:
    """Compares the topic's id at each assignment and once a second. Belongs to the reading thread.

    Messages of a partition are withheld until it is known to which topic its position belongs.
    """

    def __init__(
        self,
        consumer: Consumer,
        admin: AdminClient,
        group: ConsumerGroup,
        metrics: "Metrics",
        log: FilteringBoundLogger,
    ) -> None:
        self._consumer = consumer
        self._admin = admin
        self._group = group
        self._metrics = metrics
        self._log = log
        self._lookup: Future[TopicDescription] | None = None
        self._next_lookup_at = 0.0
        self._next_query_at = 0.0
        self._known_since = 0.0
        self._unverified: dict[int, _Unverified] = {}
        self._must_refetch_id = False
        self._failed_since = 0.0
        self._is_mock: bool | None = None

    @property
    def awaits_topic_id(self) -> bool:
        """Whether a position was out of range, and the topic id has not been fetched since."""
        return self._must_refetch_id and self._group.topic_id != ""

    @property
    def unverified(self) -> Collection[int]:
        return self._unverified.keys()

    def on_out_of_range(self, partition: int) -> None:
        """Fetch the topic id at once: a position out of range may belong to a deleted topic."""
        self.mark_position_known([partition])
        self._must_refetch_id, self._lookup, self._next_lookup_at = True, None, 0.0

    def fetch_topic_id(self) -> str | None:
        """Return the id of a recreated topic, for `switch_topic`; None if the topic is still the same. Never blocks."""
        found = self._take_topic_id()
        if found is None or found == self._group.topic_id:
            return None
        if self._group.topic_id:
            return found
        self._group.topic_id, self._known_since = found, monotonic()
        return None

    def switch_topic(self, topic_id: str, partitions: Collection[int]) -> None:
        """Read the recreated topic. The caller has dropped every message and offset of the deleted one."""
        self._group.topic_id, self._known_since = topic_id, monotonic()
        self._unverified |= {partition: _Unverified(is_from_deleted_topic=True) for partition in partitions}

    def add(self, partitions: Collection[int]) -> None:
        """Verify newly assigned partitions, later: a callback of the client must not call the client."""
        self._unverified |= {partition: _Unverified() for partition in partitions}

    def forget(self, partitions: Collection[int]) -> None:
        for partition in partitions:
            self._unverified.pop(partition, None)

    def mark_position_known(self, partitions: Collection[int]) -> None:
        """Record that the client has positions in these partitions."""
        for partition in self._unverified.keys() & partitions:
            self._unverified[partition].is_position_known = True

    def withhold(self, partition: int, offset: int) -> bool:
        """Return whether a message must be withheld. If so, its partition is read again from it once it is verified."""
        unverified = self._unverified.get(partition)
        if unverified is None:
            return False
        unverified.is_position_known = True
        unverified.resume_at = offset if unverified.resume_at is None else min(offset, unverified.resume_at)
        return True

    def drop_unverified(self, messages: list[Message]) -> list[Message]:
        """Return the messages that need not be withheld."""
        if not self._unverified:
            return messages
        return [each for each in messages if not self.withhold(each.partition() or 0, each.offset() or 0)]

    def verify(self) -> list[TopicPartition]:
        """Resume verified partitions; return those whose position was moved. Blocks for seconds if Kafka is slow."""
        if self._unverified and self._is_mock is None:
            self._is_mock = is_mock_cluster(self._consumer, _MOCK_TIMEOUT_SECONDS)
            if self._is_mock and self._group.topic_id is None:
                self._group.topic_id = ""  # it never answers
        if not self._unverified or self._group.topic_id is None:
            return []
        return self._move(self._seek(self._verify_offsets()) | self._restart_offsets())

    def _take_topic_id(self) -> str | None:
        """Return the topic id of the last lookup, once; None while there is none. Starts the next lookup."""
        if self._lookup is None:
            if monotonic() >= self._next_lookup_at:
                self._lookup = describe(self._admin, self._group.topic, _LOOKUP_TIMEOUT_SECONDS)
            return None
        if not self._lookup.done():
            return None
        answer, self._lookup = self._lookup, None
        self._next_lookup_at = monotonic() + _LOOKUP_INTERVAL_SECONDS
        try:
            found = topic_id_of(answer.result())
        except KafkaException as error:
            self._on_failed_lookup(error)
            return None
        self._must_refetch_id = False
        return found

    def _on_failed_lookup(self, error: KafkaException) -> None:
        """Stop waiting for the topic id if the broker delivers messages but never returns the id."""
        if self._group.topic_id is not None or not any(each.is_position_known for each in self._unverified.values()):
            return
        self._failed_since = self._failed_since or monotonic()
        if monotonic() - self._failed_since >= _LOOKUP_DEADLINE_SECONDS:
            self._group.topic_id = ""
            self._log.warning(
                "Kafka does not return the topic's id: a recreated topic will not be detected",
                topic=self._group.topic, code=error.args[0].name(),
            )  # fmt: skip

    def _verify_offsets(self) -> dict[int, int]:
        """Query to which topic the committed offsets belong.

        Returns the offsets of the first withheld messages of partitions that belong to the current topic.
        """
        queried = [number for number, each in self._unverified.items() if self._can_be_queried(each)]
        if not queried or monotonic() < self._next_query_at:
            return {}
        try:
            answers = self._committed(queried)
        except KafkaException as error:
            self._next_query_at = monotonic() + _RETRY_INTERVAL_SECONDS
            self._log.warning("cannot find the group's offsets yet", partitions=queried, code=error.args[0].name())
            return {}
        positions = {}
        for answer in answers:
            unverified = self._unverified[answer.partition]
            unverified.is_from_deleted_topic = has_other_topic_id(answer, self._group.topic_id)
            if not unverified.is_from_deleted_topic:
                del self._unverified[answer.partition]
                if unverified.resume_at is not None:
                    positions[answer.partition] = unverified.resume_at
        return positions

    def _can_be_queried(self, unverified: _Unverified) -> bool:
        return not unverified.is_from_deleted_topic and (unverified.is_position_known or not self._group.topic_id)

    def _restart_offsets(self) -> dict[int, int]:
        """Return the beginning of each partition whose position belongs to a deleted topic."""
        if monotonic() - self._known_since < _SETTLE_SECONDS:
            return {}
        restarted = [number for number, each in self._unverified.items() if each.is_from_deleted_topic]
        if restarted:
            self.forget(restarted)
            self._metrics.topic_recreations.inc()
            self._log.error(
                "the topic was deleted and created again: it is read from its beginning",
                topic=self._group.topic, topic_id=self._group.topic_id, partitions=sorted(restarted),
            )  # fmt: skip
        return dict.fromkeys(restarted, OFFSET_BEGINNING)

    def _seek(self, positions: dict[int, int]) -> dict[int, int]:
        """Seek; return the positions at which the client rejected it."""
        rejected = {}
        for partition, offset in positions.items():
            try:
                self._consumer.seek(TopicPartition(self._group.topic, partition, offset))
            except KafkaException:
                rejected[partition] = offset
        return rejected

    def _move(self, positions: dict[int, int]) -> list[TopicPartition]:
        moved = [TopicPartition(self._group.topic, partition, offset) for partition, offset in positions.items()]
        if moved:
            self._consumer.incremental_unassign(moved)
            self._consumer.incremental_assign(moved)
        return moved

    def _committed(self, partitions: list[int]) -> list[TopicPartition]:
        topic_partitions = [TopicPartition(self._group.topic, partition) for partition in partitions]
        if not self._group.topic_id:
            return topic_partitions
        answers = self._consumer.committed(topic_partitions, timeout=_COMMITTED_TIMEOUT_SECONDS)
        for answer in answers:
            if answer.error is not None:
                raise KafkaException(answer.error)
        return answers

"""What the API tells of Kafka: how far the consumers are behind, and how many dead letters there are."""

from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from confluent_kafka import Consumer, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CALL_TIMEOUT_SECONDS: Final = 2.0

_OffsetsByPlace = dict[tuple[str, int], int]


class TopicDepths(NamedTuple):
    """Messages that can be read and that the group has not committed, and messages in the dead-letter topic."""

    lag: int
    dead_letters: int


class GroupLag:
    """Asks the broker, for at most four times CALL_TIMEOUT_SECONDS, and connects when it is first asked.

    `group` makes a client of the group, which never joins it. For one thread at a time.
    """

    def __init__(
        self, connect: "Callable[[], AdminClient]", group: "Callable[[], Consumer]", topic: str, dead_letter_topic: str
    ) -> None:
        self._connect = connect
        self._connect_group = group
        self._topic = topic
        self._dead_letter_topic = dead_letter_topic

    def read(self) -> TopicDepths | None:
        """Return both; None while Kafka can't tell."""
        try:
            partitions = self._partitions()
            first = self._offsets(partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
            end = self._offsets(partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]  # the last stable one
            done = first | self._committed(partitions)
        except (KafkaException, TimeoutError):
            return None
        lag = sum(max(end[each] - done[each], 0) for each in end if each[0] == self._topic)
        dead_letters = sum(end[each] - first[each] for each in end if each[0] == self._dead_letter_topic)
        return TopicDepths(lag, dead_letters)

    @cached_property
    def _admin(self) -> AdminClient:
        return self._connect()

    @cached_property
    def _group(self) -> Consumer:
        return self._connect_group()

    def _partitions(self) -> list[TopicPartition]:
        topics = self._admin.list_topics(timeout=CALL_TIMEOUT_SECONDS).topics
        return [
            TopicPartition(name, partition)
            for name in (self._topic, self._dead_letter_topic)
            if name in topics
            for partition in topics[name].partitions
        ]

    def _offsets(self, partitions: "Iterable[TopicPartition]", which: OffsetSpec) -> _OffsetsByPlace:
        asked = self._admin.list_offsets(
            dict.fromkeys(partitions, which),
            isolation_level=IsolationLevel.READ_COMMITTED,
            request_timeout=CALL_TIMEOUT_SECONDS,
        )
        return {
            (each.topic, each.partition): future.result(CALL_TIMEOUT_SECONDS).offset for each, future in asked.items()
        }

    def _committed(self, partitions: "Iterable[TopicPartition]") -> _OffsetsByPlace:
        """Return what the group has committed; a partition without a commit is left out.

        Not by the AdminClient: where the group's coordinator answers with an error, confluent-kafka 2.16 crashes there.
        """
        ours = [each for each in partitions if each.topic == self._topic]
        committed = self._group.committed(ours, timeout=CALL_TIMEOUT_SECONDS) if ours else []
        return {(each.topic, each.partition): each.offset for each in committed if each.offset >= 0}

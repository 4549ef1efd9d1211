"""What may be committed, what is committed, and what is still on its way to the broker."""

from time import monotonic
from typing import Final

from confluent_kafka import Consumer, KafkaError, TopicPartition

from service.handler.kafka.consumer.group_metadata import GroupMetadata

_RETRY_SECONDS: Final = 0.5


class Offsets:
    """Offsets to commit by partition: always that of the next record to read. For the reading thread."""

    def __init__(self, member: GroupMetadata) -> None:
        self._member = member
        self._done: dict[int, int] = {}
        self._abandoned: set[int] = set()
        """Partitions that were taken away with something done that was not committed."""
        self._in_flight = False
        self._asked_at = 0.0
        self._not_before = 0.0

    @property
    def seconds_since_asked(self) -> float:
        return monotonic() - self._asked_at

    @property
    def are_pending(self) -> bool:
        """Whether something is done and can still be committed."""
        return bool(self._done)

    @property
    def are_committed(self) -> bool:
        """Whether the broker has acknowledged all that was done."""
        return not self._done and not self._abandoned

    def advance(self, next_offsets: dict[int, int]) -> None:
        self._done.update(next_offsets)

    def forget(self, partitions: frozenset[int]) -> None:
        for partition in partitions & self._done.keys():
            del self._done[partition]
            self._abandoned.add(partition)

    def give_up(self) -> None:
        """Commit nothing of what is pending."""
        self.forget(frozenset(self._done))

    def reassigned(self) -> None:
        """Note that every partition has an owner again, who does again what was not committed."""
        self._abandoned.clear()

    def commit(self, consumer: Consumer) -> None:
        """Ask the broker to commit; `acknowledged` is called from a later poll."""
        if self._done and not self._in_flight and monotonic() >= self._not_before:
            consumer.commit(offsets=self._wanted(), asynchronous=True)
            self._in_flight, self._asked_at = True, monotonic()

    def commit_now(self, consumer: Consumer) -> None:
        """Commit before partitions are given back: the client gives none back while a commit is on its way.

        Nothing waits here, because a broker that is frozen never answers. Raises KafkaException.
        """
        if self._done:
            consumer.commit(offsets=self._wanted(), asynchronous=True)
            self._in_flight, self._asked_at = True, monotonic()

    def acknowledged(self, error: KafkaError | None, partitions: list[TopicPartition]) -> bool:
        """Take the broker's answer; False where something has to be committed again."""
        self._in_flight = False
        for answer in partitions:
            if error is None and answer.error is None and self._done.get(answer.partition) == answer.offset:
                del self._done[answer.partition]
        succeeded = error is None and all(answer.error is None for answer in partitions)
        self._not_before = 0.0 if succeeded else monotonic() + _RETRY_SECONDS
        return succeeded

    def _wanted(self) -> list[TopicPartition]:
        return self._member.places(self._done, self._member.topic_id)

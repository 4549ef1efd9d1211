"""Reads dead letters for a replay, and produces them to their topics again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache, partial
from time import monotonic
from typing import Final

from confluent_kafka import Consumer, Producer

from service.entities.dead_letter_headers import Header, Headers, without_dlq_headers
from service.entities.dead_letter_record import DeadLetterId, DeadLetterRecord
from service.entities.partition import Partition
from service.entities.subscription import Subscription
from service.errors import KafkaRequestFailed
from service.handler.kafka.client.error_codes import TOO_LARGE
from service.handler.kafka.client.topic_reader import TopicReader, partitions_of
from service.handler.kafka.client.translate import topic_error, translated
from service.handler.kafka.dead_letters import reading
from service.handler.kafka.dead_letters.delivery import (
    ANY_PARTITION,
    STOP_TIMEOUT_SECONDS,
    DeliveryFailure,
    Payload,
    enqueue,
    flush,
)
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.ownership import order_of

DELIVERY_TIMEOUT_SECONDS: Final = 30.0


class KafkaReplaySource:
    """Implements usecases.ports.replay.ReplaySource. The group of `topic` keeps the progress of the replay."""

    def __init__(self, topic: TopicReader, stop: ShutdownEvent) -> None:
        self._topic = topic
        self._stop = stop

    def read_new(self, since: datetime | None) -> Iterator[DeadLetterRecord]:
        starts = {**reading.start_offsets(self._topic, since), **self._topic.committed()}
        return map(DeadLetterRecord.of, self._topic.read(starts, self._stop.is_set))

    def find(self, partition: int, offset: int) -> DeadLetterRecord | None:
        return reading.record_at(self._topic, partition, offset, self._stop.is_set)

    def find_order(self, order_uid: str) -> Iterator[DeadLetterId]:
        dead_letters = map(DeadLetterRecord.of, self._topic.read(self._topic.starts, self._stop.is_set))
        return (each.id for each in dead_letters if order_of(each.key, each.value, [order_uid]) is not None)

    def commit(self, offsets: Mapping[int, int]) -> None:
        self._topic.commit(offsets)


class ReplayProducer:
    """Implements usecases.ports.replay.ReplayTarget. `partitions_of` returns the partitions of an existing topic.

    It raises KafkaRequestFailed for a missing one, which a producer's request could make the broker create.
    `replayed_by` goes into a header. `delivery_timeout` is the producer's, in seconds.
    """

    def __init__(
        self,
        producer: Producer,
        partitions_of: Callable[[str], Sequence[int]],
        stop: ShutdownEvent,
        *,
        replayed_by: str,
        delivery_timeout: float = DELIVERY_TIMEOUT_SECONDS,
    ) -> None:
        self._producer = producer
        self._partitions_of = partitions_of
        self._stop = stop
        self._replayed_by = replayed_by
        self._flush_timeout = 2 * delivery_timeout

    @translated()
    def send(self, dead_letters: Sequence[DeadLetterRecord]) -> list[DeadLetterRecord]:
        # Sent again one by one: a batch of the client can be too large although no dead letter is.
        suspects = self._too_large(self._attempt(dead_letters))
        return [again for dead_letter in suspects for again in self._too_large(self._attempt([dead_letter]))]

    def _too_large(self, failed: Sequence[DeliveryFailure[DeadLetterRecord]]) -> list[DeadLetterRecord]:
        for dead_letter, error in failed:
            if error.code() not in TOO_LARGE:
                raise topic_error("produce to", _origin(dead_letter).topic, error)
        return [dead_letter for dead_letter, _ in failed]

    def _attempt(self, dead_letters: Sequence[DeadLetterRecord]) -> list[DeliveryFailure[DeadLetterRecord]]:
        failed: list[DeliveryFailure[DeadLetterRecord]] = []
        topics = {_origin(dead_letter).topic for dead_letter in dead_letters}
        existing = {topic: self._partitions_of(topic) for topic in topics}
        for dead_letter in dead_letters:
            self._produce(dead_letter, existing, failed)
        if not flush(self._producer, self._is_late(monotonic())):
            raise KafkaRequestFailed(f"cannot produce to {', '.join(sorted(topics))}: no acknowledgement in time")
        return failed

    def _is_late(self, began: float) -> Callable[[], bool]:
        return lambda: monotonic() - began > (STOP_TIMEOUT_SECONDS if self._stop.is_set() else self._flush_timeout)

    def _produce(
        self,
        dead_letter: DeadLetterRecord,
        existing: Mapping[str, Sequence[int]],
        failed: list[DeliveryFailure[DeadLetterRecord]],
    ) -> None:
        topic, partition = _origin(dead_letter)
        if partition not in existing[topic]:
            partition = ANY_PARTITION
        headers = replay_headers(dead_letter, self._replayed_by)
        payload = Payload(dead_letter, headers, dead_letter.key, dead_letter.value)
        enqueue(self._producer, topic, payload, failed, partition=partition)


def partition_lookup(subscription: Subscription, consumer: Consumer) -> Callable[[str], Sequence[int]]:
    """Return a function for ReplayProducer. Raises KafkaRequestFailed if the only topic does not exist."""
    lookup = cache(partial(partitions_of, consumer=consumer, action="produce to"))
    if len(subscription.names) == 1:
        lookup(*subscription.names)
    return lookup


def _origin(dead_letter: DeadLetterRecord) -> Partition:
    """Return the partition that a dead letter came from. Replays refuse dead letters without an origin."""
    origin = dead_letter.origin
    if origin is None:
        raise KafkaRequestFailed(f"{dead_letter.id} has no origin headers")
    return Partition(origin.topic, origin.partition)


def replay_headers(dead_letter: DeadLetterRecord, replayed_by: str) -> Headers:
    """Return the original headers, the first origin, the number of this replay, and who started it."""
    kept = (Header.TOPIC, Header.PARTITION, Header.OFFSET, Header.TIMESTAMP)
    origin: Headers = [(name, value) for name, value in dead_letter.headers if name in kept]
    replay = {Header.REPLAYS: str(dead_letter.replays + 1), Header.REPLAYED_BY: replayed_by}
    added: Headers = [(name, value.encode()) for name, value in replay.items()]
    return [*without_dlq_headers(dead_letter.headers), *origin, *added]

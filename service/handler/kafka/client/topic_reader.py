"""Reads a topic from given offsets up to the end offsets at the time of construction."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Final

from confluent_kafka import OFFSET_END, Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from service.entities.partition import Partition
from service.entities.record import Record
from service.entities.subscription import Subscription
from service.errors import KafkaRequestFailed
from service.handler.kafka.client import error_codes
from service.handler.kafka.client.offset_queries import committed_offsets, offsets_for_times
from service.handler.kafka.client.record import position_of, record_of
from service.handler.kafka.client.timeouts import call_within
from service.handler.kafka.client.topic_id import NO_TOPIC_ID, TopicId, fetch_topic_id, offsets_to_commit
from service.handler.kafka.client.translate import topic_error, translate, translated

READ_CALL_TIMEOUT_SECONDS: Final = 10.0
_IDLE_TIMEOUT_SECONDS: Final = 30.0
"""How long to wait for the next message of a partition that has more."""
_POLL_TIMEOUT_SECONDS: Final = 0.25

Offsets = Mapping[int, int]
"""Offset by partition."""


class TopicReader:
    """A snapshot of a topic's offsets. `consumer` needs `enable.partition.eof`, and joins no group.

    Each method blocks for at most a few seconds, and raises KafkaRequestFailed. Commits require the
    topic's id, so that offsets of a deleted topic with the same name are not mistaken for those of this topic.
    """

    def __init__(self, consumer: Consumer, name: str, topic_id: TopicId, *, starts: Offsets, ends: Offsets) -> None:
        self._consumer = consumer
        self.name = name
        self._id = topic_id
        self.starts = starts
        self.ends = ends

    @translated()
    def offsets_at(self, timestamp_ms: int) -> Offsets:
        """Return the first offset of each partition at or after the timestamp; the end offset if there is none."""
        # Kafka gives negative timestamps another meaning.
        wanted = [TopicPartition(self.name, partition, max(0, timestamp_ms)) for partition in self.ends]
        found = offsets_for_times(self._consumer, wanted, READ_CALL_TIMEOUT_SECONDS)
        return {
            each.partition: self.ends[each.partition] if each.offset == OFFSET_END else each.offset for each in found
        }

    @translated()
    def committed(self) -> Offsets:
        """Return the group's committed offsets, without partitions that have none.

        Offsets of a deleted topic, and those beyond the end of a partition that has lost messages, do not count.
        """
        wanted = [TopicPartition(self.name, partition) for partition in self.ends]
        found = committed_offsets(self._consumer, wanted, READ_CALL_TIMEOUT_SECONDS)
        return {
            each.partition: each.offset
            for each in found
            if 0 <= each.offset <= self.ends[each.partition] and not self._id.contradicts(each)
        }

    @translated()
    def commit(self, offsets: Offsets) -> None:
        """Commit for the consumer's group."""
        positions = {Partition(self.name, partition): offset for partition, offset in offsets.items()}
        targets = offsets_to_commit(positions, {self.name: self._id}, {})
        call_within(READ_CALL_TIMEOUT_SECONDS, partial(self._consumer.commit, offsets=targets, asynchronous=False))

    def read(self, starts: Offsets, should_stop: Callable[[], bool], ends: Offsets | None = None) -> Iterator[Record]:
        """Yield the records from `starts` up to `ends` (default: `self.ends`), or until `should_stop` returns True."""
        with translated():
            yield from self._read(starts, should_stop, self.ends if ends is None else ends)

    def _read(self, starts: Offsets, should_stop: Callable[[], bool], ends: Offsets) -> Iterator[Record]:
        remaining = {partition for partition, start in starts.items() if start < ends[partition]}
        self._consumer.assign([TopicPartition(self.name, partition, starts[partition]) for partition in remaining])
        if not remaining:
            return
        for message in poll_messages(self._consumer, should_stop):
            (_, partition), offset = position_of(message)
            is_end = self._is_end(message)
            if is_end or offset >= ends[partition] - 1:
                remaining.discard(partition)
            if not is_end and offset < ends[partition]:
                yield record_of(message)
            if not remaining:
                return

    def _is_end(self, message: Message) -> bool:
        """Return whether this is an end-of-partition event. Raises KafkaRequestFailed for other errors."""
        error = message.error()
        if error is None:
            return False
        if error.code() == error_codes.BAD_COMPRESSION:
            (_, partition), offset = position_of(message)
            raise KafkaRequestFailed(
                f"cannot read {self.name}, partition {partition}, offset {offset}: "
                "the batch cannot be decompressed; raise receive.message.max.bytes in ORDERS_KAFKA__PROPERTIES"
            )
        if error.code() != error_codes.PARTITION_EOF:
            raise translate(error)
        return True


@translated()
def open_topic(consumer: Consumer, name: str, topic_id: TopicId = NO_TOPIC_ID) -> TopicReader:
    """Query the offsets of a topic. Blocks for a few seconds at most. Raises KafkaRequestFailed."""
    watermarks = {
        partition: consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=READ_CALL_TIMEOUT_SECONDS)
        for partition in partitions_of(name, consumer, "read")
    }
    starts = {partition: low for partition, (low, _) in watermarks.items()}
    ends = {partition: high for partition, (_, high) in watermarks.items()}
    return TopicReader(consumer, name, topic_id, starts=starts, ends=ends)


@translated()
def open_committable_topic(consumer: Consumer, name: str, admin: AdminClient) -> TopicReader:
    """Open a topic whose offsets the reader commits for the consumer's group. Raises KafkaRequestFailed."""
    partitions_of(name, consumer, "read")  # explains that the topic is missing, as fetching its id does not
    return open_topic(consumer, name, _fetch_topic_id(admin, name))


def _fetch_topic_id(admin: AdminClient, name: str) -> TopicId:
    try:
        return fetch_topic_id(admin, name, READ_CALL_TIMEOUT_SECONDS)
    except KafkaException as error:
        if error.args[0].code() != error_codes.TIMED_OUT:
            raise
        raise KafkaRequestFailed(
            f"cannot commit offsets of {name}: the broker does not return the topic's id (a simulated one has none)"
        ) from error


@translated()
def topics_of(subscription: Subscription, client: Consumer | AdminClient) -> Sequence[str]:
    """Return the named topics, or those that match the pattern. Raises KafkaRequestFailed if none does."""
    if not subscription.pattern:
        return subscription.names
    found = subscription.select(client.list_topics(timeout=READ_CALL_TIMEOUT_SECONDS).topics)
    if not found:
        raise KafkaRequestFailed(f"no topic matches {subscription.pattern}: check ORDERS_KAFKA__TOPICS and the ACLs")
    return found


@translated()
def partitions_of(topic: str, consumer: Consumer, action: str) -> list[int]:
    """Return the partitions of a topic. Raises KafkaRequestFailed, which names the `action` that needs the topic."""
    metadata = consumer.list_topics(topic, timeout=READ_CALL_TIMEOUT_SECONDS).topics[topic]
    if metadata.error is not None:
        raise topic_error(action, topic, metadata.error)
    return sorted(metadata.partitions)


def poll_messages(consumer: Consumer, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Message]:
    """Yield messages, errors and ends of partitions until `should_stop` returns True. Raises KafkaRequestFailed."""
    asked_at = monotonic()
    while not should_stop():
        message = consumer.poll(_POLL_TIMEOUT_SECONDS)
        if message is not None:
            yield message
            asked_at = monotonic()
        elif monotonic() - asked_at > _IDLE_TIMEOUT_SECONDS:
            raise KafkaRequestFailed(f"reading from Kafka timed out: no message for {_IDLE_TIMEOUT_SECONDS:g} s")

"""A consumer group as the broker sees it: its members, its committed offsets and the times of its commits.

The times are read from `__consumer_offsets` afterwards, so that nothing polls the group while it is measured.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from struct import unpack_from
from time import monotonic
from typing import Final, NamedTuple
from uuid import uuid4

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from bench.context import Context
from bench.topics import PARTITIONS, QUIET, REQUEST_TIMEOUT_SECONDS, wait_for_all
from service.errors import ServerUnavailable, TryAgain
from service.handler.kafka.client.offset_queries import committed_offsets
from service.pkg.polling import Poller

_OFFSETS_TOPIC: Final = "__consumer_offsets"
_OFFSET_KEY_VERSIONS: Final = (0, 1)
"""Key versions of commits in that topic; keys with other versions are about members."""


class Commit(NamedTuple):
    at: float
    """Unix time in seconds, by the broker's clock."""
    partition: int
    offset: int


class Group:
    """A new consumer group without members, for `topic`."""

    def __init__(self, context: Context, topic: str) -> None:
        self.id = f"orders-bench-{uuid4().hex[:12]}"
        self._topic = topic
        self._echo = context.echo
        self._servers: dict[str, str | int | float | bool] = {"bootstrap.servers": context.bootstrap_servers, **QUIET}
        self._admin = AdminClient(self._servers)
        self._client = Consumer({**self._servers, "group.id": self.id, "enable.auto.commit": False})
        self._start = self._ends_of_offsets_topic()

    def is_balanced(self, members: int) -> bool:
        """Return whether the group has this number of members, and each its share of the partitions."""
        try:
            group = self._admin.describe_consumer_groups([self.id])[self.id].result(REQUEST_TIMEOUT_SECONDS)
        except KafkaException:
            return False
        counts = [len(member.assignment.topic_partitions) for member in group.members if member.assignment]
        return len(counts) == members and sum(counts) == PARTITIONS and max(counts) - min(counts) <= 1

    def committed(self) -> int:
        """Return the sum of the committed offsets: for a new topic the number of processed messages."""
        partitions = [TopicPartition(self._topic, number) for number in range(PARTITIONS)]
        try:
            committed = committed_offsets(self._client, partitions, REQUEST_TIMEOUT_SECONDS)
        except KafkaException:
            return 0
        return sum(max(partition.offset, 0) for partition in committed)

    def progress(self) -> tuple[int, float]:
        """Return the messages and the seconds between the group's first commit and its last.

        The messages of the first commit do not count. Raises ServerUnavailable if there is only one.
        """
        return progress(self._commits())

    def delete(self) -> None:
        """Delete the group from the broker; it must have no members."""
        wait_for_all(self._admin.delete_consumer_groups([self.id]))

    def _commits(self) -> list[Commit]:
        with self._reader() as consumer:
            return sorted(
                Commit(message.timestamp()[1] / 1_000, partition, offset)
                for message in _read(consumer, self._start, self._ends_of_offsets_topic())
                if (value := message.value()) and (partition := self._partition(message.key() or b"")) is not None
                for _version, offset in [unpack_from(">hq", value)]
            )

    def _partition(self, key: bytes) -> int | None:
        """Return the partition in a key of this group and topic; None for any other key."""
        (version,) = unpack_from(">h", key)
        if version not in _OFFSET_KEY_VERSIONS:
            return None
        group, at = _read_string(key, 2)
        topic, at = _read_string(key, at)
        partition: int = unpack_from(">i", key, at)[0]
        return partition if (group, topic) == (self.id, self._topic) else None

    def _ends_of_offsets_topic(self) -> dict[int, int]:
        """Return the ends of `__consumer_offsets`, which the broker creates for its first consumer group."""
        with self._reader() as consumer:
            return Poller(REQUEST_TIMEOUT_SECONDS, self._echo).until(partial(_ends, consumer), _OFFSETS_TOPIC)

    def _reader(self) -> "closing[Consumer]":
        low_latency = {"fetch.wait.max.ms": 50, "fetch.error.backoff.ms": 50}
        properties = {**self._servers, **low_latency, "group.id": "orders-bench", "enable.auto.commit": False}
        return closing(Consumer(properties))


def progress(commits: Sequence[Commit]) -> tuple[int, float]:
    """Return messages and seconds between the first and the last of sorted commits. Raises ServerUnavailable."""
    if not commits or commits[0].at == commits[-1].at:
        raise ServerUnavailable("too few messages to measure: one commit covered all of them")
    at_first = {each.partition: each.offset for each in commits if each.at == commits[0].at}
    at_last = {each.partition: each.offset for each in commits}
    return sum(at_last.values()) - sum(at_first.values()), commits[-1].at - commits[0].at


def _ends(consumer: Consumer) -> dict[int, int]:
    """Return the end of each partition. Raises TryAgain while the broker is creating the topic."""
    try:
        topics = consumer.list_topics(_OFFSETS_TOPIC, timeout=REQUEST_TIMEOUT_SECONDS).topics
        partitions = topics[_OFFSETS_TOPIC].partitions
        return {
            each: consumer.get_watermark_offsets(_partition(each), REQUEST_TIMEOUT_SECONDS)[1] for each in partitions
        }
    except KafkaException as error:
        raise TryAgain(f"{_OFFSETS_TOPIC} ({error.args[0].name()})") from None


def _read_string(data: bytes, at: int) -> tuple[str, int]:
    """Return the string that follows its length in two bytes, and the position of its end."""
    (length,) = unpack_from(">h", data, at)
    return data[at + 2 : at + 2 + length].decode(), at + 2 + length


def _read(consumer: Consumer, starts: dict[int, int], ends: dict[int, int]) -> Iterator[Message]:
    """Yield the messages between `starts` and `ends`, by partition. Raises ServerUnavailable if none arrive."""
    left = {partition: end for partition, end in ends.items() if end > starts.get(partition, 0)}
    consumer.assign([TopicPartition(_OFFSETS_TOPIC, each, starts.get(each, 0)) for each in left])
    deadline = monotonic() + REQUEST_TIMEOUT_SECONDS
    while left:
        if monotonic() > deadline:
            raise ServerUnavailable(f"timed out reading {_OFFSETS_TOPIC}")
        message = consumer.poll(0.1)
        if message is not None and not message.error():
            yield message
        reached = {each.partition: each.offset for each in consumer.position([_partition(each) for each in left])}
        left = {partition: end for partition, end in left.items() if reached[partition] < end}


def _partition(number: int) -> TopicPartition:
    return TopicPartition(_OFFSETS_TOPIC, number)

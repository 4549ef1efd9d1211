"""A consumer group seen from outside: who is in it, how far it is, and when it committed what.

The times of its commits are those under which the broker keeps them, so that a run is timed without anything that looks
on while it lasts.
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
from bench.topics import CALL_SECONDS, PARTITIONS, QUIET, done
from service.errors import ServerUnavailable, TryAgain
from service.pkg.polling import Poller

_OFFSETS_TOPIC: Final = "__consumer_offsets"
_OFFSET_KEYS: Final = (0, 1)
"""Versions of the keys under which that topic holds commits; other keys are about members."""


class Commit(NamedTuple):
    at: float
    """Seconds of the broker's clock."""
    partition: int
    offset: int


class Group:
    """A new consumer group for `topic`, without members."""

    def __init__(self, context: Context, topic: str) -> None:
        self.id = f"orders-bench-{uuid4().hex[:12]}"
        self._topic = topic
        self._say = context.echo
        self._servers: dict[str, str | int | float | bool] = {"bootstrap.servers": context.bootstrap_servers, **QUIET}
        self._admin = AdminClient(self._servers)
        self._client = Consumer({**self._servers, "group.id": self.id, "enable.auto.commit": False})
        self._before = self._ends_of_offsets()

    def is_shared_by(self, members: int) -> bool:
        """Whether it has so many members, each with its part of the partitions."""
        try:
            group = self._admin.describe_consumer_groups([self.id])[self.id].result(CALL_SECONDS)
        except KafkaException:
            return False
        parts = [len(member.assignment.topic_partitions) for member in group.members if member.assignment]
        return len(parts) == members and sum(parts) == PARTITIONS and max(parts) - min(parts) <= 1

    def committed(self) -> int:
        """Return the sum of its committed offsets, which is how many messages of a new topic it has done with."""
        places = [TopicPartition(self._topic, number) for number in range(PARTITIONS)]
        try:
            committed = self._client.committed(places, timeout=CALL_SECONDS)
        except KafkaException:
            return 0
        return sum(max(place.offset, 0) for place in committed)

    def progress(self) -> tuple[int, float]:
        """Return how many messages it did between its first commit and its last, and in how many seconds.

        What the first commit covers does not count. Raises ServerUnavailable without a second one.
        """
        return progress(self._commits())

    def forget(self) -> None:
        """Delete the group from the broker; it must have no members."""
        done(self._admin.delete_consumer_groups([self.id]))

    def _commits(self) -> list[Commit]:
        with self._reader() as consumer:
            return sorted(
                Commit(message.timestamp()[1] / 1_000, partition, offset)
                for message in _from(consumer, self._before, self._ends_of_offsets())
                if (value := message.value()) and (partition := self._partition(message.key() or b"")) is not None
                for _version, offset in [unpack_from(">hq", value)]
            )

    def _partition(self, key: bytes) -> int | None:
        """Return the partition that a key is about, if it belongs to the group."""
        (version,) = unpack_from(">h", key)
        if version not in _OFFSET_KEYS:
            return None
        group, at = _text(key, 2)
        topic, at = _text(key, at)
        partition: int = unpack_from(">i", key, at)[0]
        return partition if (group, topic) == (self.id, self._topic) else None

    def _ends_of_offsets(self) -> dict[int, int]:
        """Return the end of each partition in which the broker keeps offsets; there is none before its first group."""
        with self._reader() as consumer:
            return Poller(CALL_SECONDS, self._say).until(partial(_ends, consumer), "the broker's own topic")

    def _reader(self) -> "closing[Consumer]":
        at_once = {"fetch.wait.max.ms": 50, "fetch.error.backoff.ms": 50}
        properties = {**self._servers, **at_once, "group.id": "orders-bench", "enable.auto.commit": False}
        return closing(Consumer(properties))


def progress(commits: Sequence[Commit]) -> tuple[int, float]:
    """Return messages and seconds between the first commit and the last; they are sorted. Raises ServerUnavailable."""
    if not commits or commits[0].at == commits[-1].at:
        raise ServerUnavailable("too few messages to measure: they were all done in one commit")
    at_first = {each.partition: each.offset for each in commits if each.at == commits[0].at}
    at_last = {each.partition: each.offset for each in commits}
    return sum(at_last.values()) - sum(at_first.values()), commits[-1].at - commits[0].at


def _ends(consumer: Consumer) -> dict[int, int]:
    """Raise TryAgain while the topic has just been made, upon the first question."""
    try:
        known = consumer.list_topics(_OFFSETS_TOPIC, timeout=CALL_SECONDS).topics[_OFFSETS_TOPIC].partitions
        return {each: consumer.get_watermark_offsets(_place(each), CALL_SECONDS)[1] for each in known}
    except KafkaException as error:
        raise TryAgain(f"the broker's own topic ({error.args[0].name()})") from None


def _text(data: bytes, at: int) -> tuple[str, int]:
    """Return a text after its length in two bytes, and where it ends."""
    (length,) = unpack_from(">h", data, at)
    return data[at + 2 : at + 2 + length].decode(), at + 2 + length


def _from(consumer: Consumer, begins: dict[int, int], ends: dict[int, int]) -> Iterator[Message]:
    """Yield all messages of each partition. Raises ServerUnavailable if none arrive."""
    left = {partition: end for partition, end in ends.items() if end > begins.get(partition, 0)}
    consumer.assign([TopicPartition(_OFFSETS_TOPIC, each, begins.get(each, 0)) for each in left])
    deadline = monotonic() + CALL_SECONDS
    while left:
        if monotonic() > deadline:
            raise ServerUnavailable("the broker does not return committed offsets")
        message = consumer.poll(0.1)
        if message is not None and not message.error():
            yield message
        reached = {each.partition: each.offset for each in consumer.position([_place(each) for each in left])}
        left = {partition: end for partition, end in left.items() if reached[partition] < end}


def _place(partition: int) -> TopicPartition:
    return TopicPartition(_OFFSETS_TOPIC, partition)

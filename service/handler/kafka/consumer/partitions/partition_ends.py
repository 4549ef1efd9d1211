"""The end of each partition, as of the last fetch or query."""

from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from service.entities.partition import Partition

if TYPE_CHECKING:
    from service.handler.kafka.consumer.partitions.statistics import PartitionEnd

_QUERY_INTERVAL_SECONDS: Final = 5.0
"""Interval between two queries for the ends of partitions that are not fetched."""
_QUERY_TIMEOUT_SECONDS: Final = 0.5
"""Timeout of a query for all partitions together."""


class PartitionEnds:
    """The client learns the ends of partitions by fetching, so the ends of the others are queried."""

    def __init__(self, client: Consumer, now: Callable[[], float] = monotonic) -> None:
        self._client = client
        self._now = now
        self._ends: Mapping[Partition, PartitionEnd] = {}
        self._unfetched: frozenset[Partition] = frozenset()
        self._queried: dict[Partition, tuple[int, int]] = {}
        self._to_query: deque[Partition] = deque()
        self._queried_at = 0.0

    def on_statistics(self, ends: "Mapping[Partition, PartitionEnd]", unfetched: frozenset[Partition]) -> None:
        """Record the ends of partitions, and the assigned partitions without a position, which are not fetched."""
        self._ends, self._unfetched = ends, unfetched

    def query(self, partitions: Collection[Partition], paused: Collection[Partition]) -> None:
        """Query the ends of partitions that are not fetched, such as paused ones.

        Blocks for at most half a second; the rest is left for the next call.
        """
        unfetched = self._unfetched.union(paused)
        for partition in self._queried.keys() - unfetched:
            del self._queried[partition]
        if not unfetched or self._now() - self._queried_at < _QUERY_INTERVAL_SECONDS:
            return
        self._to_query = self._to_query or deque(partition for partition in partitions if partition in unfetched)
        deadline = self._now() + _QUERY_TIMEOUT_SECONDS
        while self._to_query and (left := deadline - self._now()) > 0:
            partition = self._to_query.popleft()
            with suppress(KafkaException):
                self._queried[partition] = self._client.get_watermark_offsets(TopicPartition(*partition), left)
        self._queried_at = self._now()

    def open_transaction_messages(self, partition: Partition) -> int:
        """Return the number of messages from the first open transaction on, which cannot be read yet."""
        ends = self._ends.get(partition)
        return ends.open_transaction_messages if ends else 0

    def readable(self, partition: Partition) -> tuple[int, int]:
        """Return the first and the last stable offset."""
        if queried := self._queried.get(partition):
            return queried
        start = end = 0
        with suppress(KafkaException):
            start, end = self._client.get_watermark_offsets(TopicPartition(*partition), cached=True)
        ends = self._ends.get(partition)
        if ends and ends.open_transaction_messages:
            end = ends.stable  # the client's end includes open transactions
        return start, end

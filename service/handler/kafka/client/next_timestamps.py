"""The timestamps of the next messages of partitions."""

from collections.abc import Callable, Mapping
from contextlib import closing
from time import monotonic
from typing import Final

from confluent_kafka import Consumer, TopicPartition

from service.entities.partition import Partition
from service.handler.kafka.client.record import position_of
from service.handler.kafka.client.translate import translated

READ_TIMEOUT_SECONDS: Final = 0.5


@translated()
def next_timestamps(connect: Callable[[], Consumer], offsets: Mapping[Partition, int]) -> dict[Partition, int]:
    """Return the timestamp, in milliseconds, of the first message of each partition at or after its offset.

    Partitions whose message does not arrive within READ_TIMEOUT_SECONDS are missing. `connect` creates a consumer with
    `enable.partition.eof`; it joins no group, and is closed. Raises KafkaRequestFailed.
    """
    if not offsets:
        return {}
    deadline = monotonic() + READ_TIMEOUT_SECONDS
    found: dict[Partition, int] = {}
    with closing(connect()) as consumer:
        remaining = set(offsets)
        consumer.assign([TopicPartition(*partition, offset) for partition, offset in offsets.items()])
        while remaining and (message := consumer.poll(max(deadline - monotonic(), 0))) is not None:
            partition, _ = position_of(message)
            if partition not in remaining:
                continue  # an error without a partition, or a message that arrived before the pause
            remaining.remove(partition)
            consumer.pause([TopicPartition(*partition)])  # one message is enough
            if message.error() is None:
                found[partition] = message.timestamp()[1]
    return found

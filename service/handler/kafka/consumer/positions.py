"""Where the client reads each assigned partition: verifies and moves positions."""

from dataclasses import dataclass

from confluent_kafka import Consumer, TopicPartition

from service.handler.kafka.consumer.breaker_control import BreakerControl
from service.handler.kafka.consumer.fetch import FetchControl
from service.handler.kafka.consumer.lag import Lag
from service.handler.kafka.consumer.progress import Progress
from service.handler.kafka.consumer.resets import OffsetResets
from service.handler.kafka.consumer.topic_check import TopicCheck


@dataclass(frozen=True, slots=True, kw_only=True)
class Positions:
    """Belongs to the reading thread."""

    client: Consumer
    topic: str
    progress: Progress
    breaker: BreakerControl
    fetch: FetchControl
    topic_check: TopicCheck
    resets: OffsetResets
    lag: Lag

    @property
    def assigned(self) -> frozenset[int]:
        return partition_numbers(self.client.assignment())

    def verify(self) -> None:
        """Move partitions whose position belongs to a deleted topic of the same name, or is out of range."""
        if topic_id := self.topic_check.fetch_new_topic_id():
            partitions = self.assigned
            self.forget(partitions)
            self.topic_check.switch_topic(topic_id, partitions)
        moved = self.topic_check.verify()
        if not self.topic_check.awaits_topic_id:
            moved += self.resets.reset(self.topic_check.unverified)
        if moved:
            self.fetch.apply(moved)
            self.progress.forget_ends(partition_numbers(moved))

    def on_out_of_range(self, partition: int) -> None:
        self.topic_check.on_out_of_range(partition)
        self.resets.add(partition)

    def seek(self, offsets: dict[int, int]) -> None:
        for partition, offset in offsets.items():
            self.client.seek(TopicPartition(self.topic, partition, offset))

    def forget(self, partitions: frozenset[int]) -> None:
        """Drop partitions that were revoked or recreated."""
        self.progress.forget(partitions)
        self.breaker.forget(partitions)
        self.topic_check.forget(partitions)
        self.resets.forget(partitions)
        self.lag.forget(partitions)


def partition_numbers(partitions: list[TopicPartition]) -> frozenset[int]:
    return frozenset(each.partition for each in partitions)

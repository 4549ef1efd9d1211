"""The partitions that are assigned to this member, and the positions from which the client reads them."""

from dataclasses import dataclass

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from service.handler.kafka.client.reassign import reassign, seek
from service.handler.kafka.consumer.flow_control.fetch import FetchControl
from service.handler.kafka.consumer.partitions.lag import Lag
from service.handler.kafka.consumer.partitions.progress import Progress
from service.handler.kafka.consumer.partitions.resets import OffsetResets
from service.handler.kafka.consumer.partitions.statistics import Statistics
from service.handler.kafka.consumer.pipeline import BatchPipeline
from service.handler.kafka.consumer.topic.position_check import PositionCheck


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    client: Consumer
    topic: str
    progress: Progress
    pipeline: BatchPipeline
    position_check: PositionCheck
    resets: OffsetResets
    fetch: FetchControl
    lag: Lag

    @property
    def partitions(self) -> frozenset[int]:
        return partition_numbers(self.client.assignment())

    def add(self, partitions: list[TopicPartition]) -> None:
        self.client.incremental_assign(partitions)
        self.progress.on_assign()
        self.position_check.add(partition_numbers(partitions))
        self.fetch.apply(partitions)

    def remove(self, partitions: list[TopicPartition]) -> None:
        self._drop(partition_numbers(partitions))
        self.client.incremental_unassign(partitions)

    def verify_positions(self) -> None:
        """Move partitions whose position belongs to a deleted topic of the same name, or is out of range."""
        if topic_id := self.position_check.fetch_new_topic_id():
            partitions = self.partitions
            self._drop(partitions)
            self.position_check.switch_topic(topic_id, partitions)
        moved = self.position_check.verify()
        self._restart([each for each in moved if each.offset == OFFSET_BEGINNING])
        if not self.position_check.awaits_topic_id:
            moved += self.resets.reset(self.position_check.unverified)
        if moved:
            self.fetch.apply(moved)
            self.progress.clear_ends(partition_numbers(moved))

    def on_out_of_range(self, partition: int) -> None:
        self.position_check.on_out_of_range(partition)
        self.resets.add(partition)

    def on_statistics(self, statistics: Statistics) -> None:
        assigned, fetched = self.partitions, statistics.fetched(self.topic)
        committed = statistics.committed(self.topic)
        self.progress.start_at({p: offset for p, offset in committed.items() if p in assigned})
        self.position_check.mark_position_known(fetched)
        self.lag.ends.on_statistics(statistics.ends(self.topic), unfetched=assigned - fetched)

    def seek(self, offsets: dict[int, int]) -> None:
        rejected = seek(self.client, [TopicPartition(self.topic, *position) for position in offsets.items()])
        if rejected:
            reassign(self.client, rejected)
            self.fetch.apply(rejected)

    def update_gauges(self) -> None:
        self.fetch.count_paused_time()
        self.lag.update(paused=self.partitions if self.fetch.is_paused else ())

    def _restart(self, partitions: list[TopicPartition]) -> None:
        """Ignore the group's offsets in a deleted topic: they are no offsets of the topic that is read now."""
        restarted = partition_numbers(partitions)
        self.resets.drop(restarted)
        self.progress.restart(restarted)

    def _drop(self, partitions: frozenset[int]) -> None:
        """Drop partitions that were revoked or recreated."""
        self.pipeline.drop(partitions)
        self.position_check.drop(partitions)
        self.resets.drop(partitions)
        self.lag.remove_gauges(partitions)


def partition_numbers(partitions: list[TopicPartition]) -> frozenset[int]:
    return frozenset(each.partition for each in partitions)

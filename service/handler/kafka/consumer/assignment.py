"""The partitions that are assigned to this member, and the positions from which the client reads them."""

from dataclasses import dataclass

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from service.entities.partition import Partition
from service.handler.kafka.client.partitions import partition_of, partition_set
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
    progress: Progress
    pipeline: BatchPipeline
    position_check: PositionCheck
    resets: OffsetResets
    fetch: FetchControl
    lag: Lag

    @property
    def partitions(self) -> frozenset[Partition]:
        return partition_set(self.client.assignment())

    def add(self, partitions: list[TopicPartition]) -> None:
        self.client.incremental_assign(partitions)
        self.progress.on_assign()
        self.position_check.add([*map(partition_of, partitions)])
        self.fetch.apply(partitions)

    def remove(self, partitions: list[TopicPartition]) -> None:
        self._drop(partition_set(partitions))
        self.client.incremental_unassign(partitions)

    def verify_positions(self) -> None:
        """Move partitions whose position belongs to a deleted topic of the same name, or is out of range."""
        for topic, topic_id in self.position_check.fetch_new_topic_ids().items():
            partitions = [each for each in sorted(self.partitions) if each.topic == topic]
            self._drop(frozenset(partitions))
            self.position_check.switch_topic(topic, topic_id, partitions)
        moved = self.position_check.verify()
        self._restart([each for each in moved if each.offset == OFFSET_BEGINNING])
        moved += self.resets.reset(self.position_check.is_verified)
        if moved:
            self.fetch.apply(moved)
            self.progress.clear_ends(partition_set(moved))

    def on_out_of_range(self, partition: Partition) -> None:
        self.position_check.on_out_of_range(partition)
        self.resets.add(partition)

    def on_statistics(self, statistics: Statistics) -> None:
        assigned, fetched = self.partitions, statistics.fetched
        self.progress.start_at({p: offset for p, offset in statistics.committed.items() if p in assigned})
        self.position_check.mark_position_known(fetched)
        self.lag.ends.on_statistics(statistics.ends, unfetched=assigned - fetched)

    def seek(self, offsets: dict[Partition, int]) -> None:
        rejected = seek(self.client, [TopicPartition(*partition, offset) for partition, offset in offsets.items()])
        if rejected:
            reassign(self.client, rejected)
            self.fetch.apply(rejected)

    def update_gauges(self) -> None:
        self.fetch.count_paused_time()
        self.lag.update(paused=self.partitions if self.fetch.is_paused else ())

    def _restart(self, partitions: list[TopicPartition]) -> None:
        """Ignore the group's offsets in a deleted topic: they are not offsets of the topic that is read now."""
        restarted = [*map(partition_of, partitions)]
        self.resets.drop(frozenset(restarted))
        self.progress.restart(restarted)

    def _drop(self, partitions: frozenset[Partition]) -> None:
        """Drop partitions that were revoked or recreated."""
        self.pipeline.drop(partitions)
        self.position_check.drop(partitions)
        self.resets.drop(partitions)
        self.lag.remove_gauges(partitions)

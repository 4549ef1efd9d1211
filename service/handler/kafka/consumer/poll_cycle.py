"""One iteration of the consumer's loop."""

from dataclasses import dataclass

from confluent_kafka import Consumer

from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.consumer.partitions.assignment import Assignment
from service.handler.kafka.consumer.partitions.offsets import OffsetCommitter
from service.handler.kafka.consumer.pipeline import BatchPipeline
from service.handler.kafka.consumer.reader import Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class PollCycle:
    """Belongs to the reading thread."""

    client: Consumer
    group: ConsumerGroup
    pipeline: BatchPipeline
    reader: Reader
    assignment: Assignment
    offsets: OffsetCommitter

    def run_once(self) -> None:
        self.group.refresh(self.client)
        self.pipeline.handle_result()
        self.reader.read()
        self.assignment.verify_positions()
        self.pipeline.advance_to_ends()
        self.offsets.commit(self.client)
        self.assignment.update_gauges()

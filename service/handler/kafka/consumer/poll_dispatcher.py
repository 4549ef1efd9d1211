"""Polls the client, and dispatches what it returns: messages, errors, ends of partitions and statistics."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaError, Message

from service.handler.kafka.client import error_codes
from service.handler.kafka.client.record import position_of
from service.handler.kafka.consumer.assignment import Assignment
from service.handler.kafka.consumer.partitions.statistics import LatestStatistics, Statistics
from service.handler.kafka.consumer.pipeline import BatchPipeline
from service.handler.kafka.consumer.reports.client_errors import ClientErrors
from service.handler.kafka.consumer.reports.stalled_partitions import StalledPartitions
from service.handler.kafka.consumer.topic.position_check import PositionCheck

if TYPE_CHECKING:
    from service.metrics import ConsumerMetrics


@dataclass(frozen=True, slots=True, kw_only=True)
class PollDispatcher:
    client: Consumer
    pipeline: BatchPipeline
    assignment: Assignment
    position_check: PositionCheck
    errors: ClientErrors
    stalled: StalledPartitions
    statistics: LatestStatistics
    metrics: "ConsumerMetrics"

    def poll(self, count: int, seconds: float) -> bool:
        """Add at most `count` messages that arrive within `seconds` to the batch. Return whether any was added."""
        messages = []
        for message in self.client.consume(count, seconds):
            if (error := message.error()) is not None:
                self._on_error(message, error)
            else:
                messages.append(message)
        if statistics := self.statistics.take():
            self._on_statistics(statistics)
        messages = self.position_check.withhold_unverified(messages)
        self.pipeline.add(messages)
        return bool(messages)

    def _on_error(self, message: Message, error: KafkaError) -> None:
        partition, offset = position_of(message)
        if error.code() == error_codes.PARTITION_EOF:
            if not self.position_check.withhold(partition, offset):  # otherwise messages before the end are read again
                self.pipeline.reach_end(partition, offset)
        elif error.code() == error_codes.AUTO_OFFSET_RESET:
            self.assignment.on_out_of_range(partition)
        else:
            self.errors.on_message_error(message, error)

    def _on_statistics(self, statistics: Statistics) -> None:
        self.metrics.dependency_up.labels("kafka").set(statistics.any_broker_is_up)
        self.assignment.on_statistics(statistics)
        self.stalled.on_statistics(statistics.ends, self.assignment.partitions, statistics.fetched)

"""Receives what a poll of the client delivers: messages, errors, ends of partitions and statistics."""

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaError, Message

from service.handler.kafka.client import error_codes
from service.handler.kafka.consumer.batch_builder import BatchBuilder
from service.handler.kafka.consumer.breaker_control import BreakerControl
from service.handler.kafka.consumer.client_errors import ClientErrors
from service.handler.kafka.consumer.lag import Lag
from service.handler.kafka.consumer.positions import Positions
from service.handler.kafka.consumer.progress import Progress
from service.handler.kafka.consumer.state import ConsumerState, ConsumerStateMachine
from service.handler.kafka.consumer.statistics import Statistics
from service.handler.kafka.consumer.topic_check import TopicCheck

if TYPE_CHECKING:
    from service.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Belongs to the reading thread."""

    client: Consumer
    topic: str
    statistics: deque[str]
    """The client's last statistics, which its callback appends."""
    builder: BatchBuilder
    progress: Progress
    positions: Positions
    breaker: BreakerControl
    topic_check: TopicCheck
    lag: Lag
    state: ConsumerStateMachine
    errors: ClientErrors
    metrics: "Metrics"

    def add_messages(self, count: int, seconds: float) -> bool:
        """Add the messages that `receive` returns to the batch; return whether there were any.

        While the circuit breaker is open, skip them instead. A callback of this very poll may have opened it.
        """
        messages = self.receive(count, seconds)
        if self.state.current is ConsumerState.BREAKER_OPEN:
            self.breaker.skip(messages)
        else:
            self.builder.add(messages)
        return bool(messages)

    def receive(self, count: int, seconds: float) -> list[Message]:
        """Return at most `count` messages that arrive within `seconds`, and handle everything else."""
        messages = []
        for message in self.client.consume(count, seconds):
            if (error := message.error()) is not None:
                self._on_error(message, error)
            else:
                messages.append(message)
        if self.statistics:
            self._on_statistics(Statistics.read(self.statistics.pop()))
        return self.topic_check.drop_unverified(messages)

    def _on_error(self, message: Message, error: KafkaError) -> None:
        partition, offset = message.partition() or 0, message.offset() or 0
        if error.code() == error_codes.PARTITION_EOF:
            self._on_partition_end(partition, offset)
        elif error.code() == error_codes.AUTO_OFFSET_RESET:
            self.positions.on_out_of_range(partition)
        else:
            self.errors.on_message_error(message, error)

    def _on_partition_end(self, partition: int, offset: int) -> None:
        """Record how far a partition was read, unless messages before its end were withheld and are read again."""
        is_withheld = self.topic_check.withhold(partition, offset)
        if not is_withheld and self.state.current is not ConsumerState.BREAKER_OPEN:
            self.progress.reach_end(partition, offset)

    def _on_statistics(self, statistics: Statistics) -> None:
        assigned = self.positions.assigned
        self.metrics.dependency_up.labels("kafka").set(statistics.any_broker_is_up)
        committed, ends = statistics.committed(self.topic), statistics.ends(self.topic)
        self.progress.start_at({p: offset for p, offset in committed.items() if p in assigned})
        self.lag.on_statistics(ends)
        fetched = statistics.fetched(self.topic)
        self.topic_check.mark_position_known(fetched)
        self.errors.on_statistics(ends, assigned, fetched)

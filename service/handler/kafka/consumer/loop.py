"""The consumer's loop: fills a batch while the previous one is written, and commits the offsets of finished batches.

Only the thread that calls `run` uses the Kafka client. The client's callbacks run in its polls,
and in `close` while this thread waits.
"""

from dataclasses import dataclass, field
from time import monotonic

from confluent_kafka import Consumer, KafkaException

from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.consumer.assignment import Assignment
from service.handler.kafka.consumer.partitions.offsets import OffsetCommitter
from service.handler.kafka.consumer.pipeline import BatchPipeline
from service.handler.kafka.consumer.rebalance import Rebalance
from service.handler.kafka.consumer.reports.client_failure import ClientFailure
from service.handler.kafka.consumer.shutdown import Shutdown
from service.handler.kafka.consumer.state_actions import StateActions
from service.pkg.shutdown_event import ShutdownEvent


@dataclass(slots=True, kw_only=True)
class OrderConsumer:
    """One member of the consumer group."""

    client: Consumer
    group: ConsumerGroup
    pipeline: BatchPipeline
    actions: StateActions
    assignment: Assignment
    offsets: OffsetCommitter
    rebalance: Rebalance
    shutdown: Shutdown
    failure: ClientFailure
    stop: ShutdownEvent
    has_started: bool = field(init=False, default=False)
    _polled_at: float = field(init=False, default_factory=monotonic)

    @property
    def seconds_since_poll(self) -> float:
        """Seconds since the last iteration of the loop; for the liveness probe, from any thread."""
        return monotonic() - self._polled_at

    @property
    def is_draining(self) -> bool:
        """Whether a stop was requested, or an error ended the loop; for the readiness probe, from any thread."""
        return self.stop.is_set()

    def run(self) -> None:
        """Block until a stop is requested; then finish the batch that is being written, commit it and leave the group.

        Raises CommandFailed, or the error that ended a batch. Only finished batches are committed then.
        """
        self.pipeline.start()
        try:
            self.rebalance.subscribe()
            while not self.stop.is_set():
                self._run_once()
            self.shutdown.drain()
        except KafkaException as error:
            raise self.failure.log_and_translate(error.args[0]) from error
        finally:
            self.stop.set()
            self.shutdown.leave()

    def _run_once(self) -> None:
        self._polled_at, self.has_started = monotonic(), True
        self.failure.raise_recorded()
        self.group.refresh(self.client)
        self.pipeline.handle_result()
        self.actions.run()
        self.assignment.verify_positions()
        self.pipeline.advance_to_ends()
        self.offsets.commit(self.client)
        self.assignment.update_gauges()

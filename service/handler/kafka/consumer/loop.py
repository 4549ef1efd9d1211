"""The consumer's loop: fills a batch while the previous one is written, and commits the offsets of finished batches.

Only the thread that calls `run` uses the Kafka client. The client's callbacks run in its polls.
"""

from dataclasses import dataclass, field
from time import monotonic

from confluent_kafka import KafkaException

from service.handler.kafka.consumer.client_failure import ClientFailure
from service.handler.kafka.consumer.partitions.rebalance import Rebalance
from service.handler.kafka.consumer.poll_cycle import PollCycle
from service.handler.kafka.consumer.shutdown import Shutdown
from service.handler.kafka.consumer.worker import BatchWorker
from service.pkg.shutdown_event import ShutdownEvent


@dataclass(slots=True, kw_only=True)
class OrderConsumer:
    """One member of the consumer group."""

    cycle: PollCycle
    worker: BatchWorker
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

    def run(self) -> None:
        """Block until a stop is requested; then finish the batch that is being written, commit it and leave the group.

        Raises KafkaClientFailed, or the error that ended a batch. Only finished batches are committed then.
        """
        self.worker.start()
        try:
            self.rebalance.subscribe()
            while not self.stop.is_set():
                self._polled_at, self.has_started = monotonic(), True
                self.failure.raise_recorded()
                self.cycle.run_once()
            self.shutdown.drain()
        except KafkaException as error:
            raise self.failure.log(error.args[0]) from error
        finally:
            self.stop.set()
            self.shutdown.leave()

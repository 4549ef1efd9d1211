"""The consumer's loop: fills a batch while the previous one is written, and commits the offsets of finished batches.

Only the thread that calls `run` uses the Kafka client. The client's callbacks run in its polls.
"""

from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from confluent_kafka import Consumer, KafkaException

from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.consumer.batch_builder import BatchBuilder
from service.handler.kafka.consumer.breaker_control import BreakerControl
from service.handler.kafka.consumer.client_errors import ClientErrors
from service.handler.kafka.consumer.completion import BatchCompletion
from service.handler.kafka.consumer.fetch import FetchControl
from service.handler.kafka.consumer.lag import Lag
from service.handler.kafka.consumer.offsets import OffsetCommitter
from service.handler.kafka.consumer.positions import Positions
from service.handler.kafka.consumer.progress import Progress
from service.handler.kafka.consumer.rebalance import Rebalance
from service.handler.kafka.consumer.receive import Receiver
from service.handler.kafka.consumer.shutdown import Shutdown
from service.handler.kafka.consumer.state import ConsumerState, ConsumerStateMachine
from service.handler.kafka.consumer.worker import BatchWorker
from service.pkg.shutdown_event import ShutdownEvent

IDLE_POLL_SECONDS: Final = 0.25
"""How long a poll blocks while nothing is written."""
WRITE_POLL_SECONDS: Final = 0.005
"""How long the loop waits for the end of a write when no message has arrived: short, because fetching continues."""
PAUSED_POLL_SECONDS: Final = 0.1
"""How long a poll blocks while fetching is paused: it only runs the client's callbacks."""
PAUSE_AFTER_SECONDS: Final = 1.0
"""How long a full batch waits before fetching is paused: pausing discards the prefetched messages."""


@dataclass(slots=True, kw_only=True)
class OrderConsumer:
    """One member of the consumer group."""

    client: Consumer
    group: ConsumerGroup
    state: ConsumerStateMachine
    receiver: Receiver
    builder: BatchBuilder
    worker: BatchWorker
    completion: BatchCompletion
    progress: Progress
    positions: Positions
    offsets: OffsetCommitter
    breaker: BreakerControl
    fetch: FetchControl
    lag: Lag
    errors: ClientErrors
    rebalance: Rebalance
    shutdown: Shutdown
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
        self.rebalance.subscribe()
        self.worker.start()
        try:
            while not self.stop.is_set():
                self._poll_once()
            self.shutdown.drain()
        except KafkaException as error:
            raise self.errors.log_failure(error.args[0]) from error
        finally:
            self.stop.set()
            self.shutdown.leave()

    def _poll_once(self) -> None:
        self._polled_at = monotonic()
        self.has_started = True
        self.errors.raise_fatal()
        self.group.refresh(self.client)
        if finished := self.worker.take_finished():
            self.completion.on_batch_done(finished)
        self._read()
        self.positions.verify()
        if not self.breaker.must_reread:
            self.progress.advance_to_ends()
        self.offsets.commit(self.client)
        self._update_gauges()

    def _read(self) -> None:
        match self.state.current:
            case ConsumerState.RUNNING:
                self._fill_batch()
            case ConsumerState.PAUSED:
                self._wait_for_outage()
            case ConsumerState.BREAKER_OPEN:
                self._wait_for_breaker()
            case ConsumerState.PROBING if self.worker.is_free:
                self._probe()
            case ConsumerState.PROBING:
                self._fill_batch()

    def _fill_batch(self) -> None:
        self._submit_batch()  # the batch that was filled during the last write
        limits = self.breaker.limits
        if self.builder.batch.must_submit(limits):
            self._wait_for_room()
        elif not self.receiver.add_messages(self.builder.room(limits), 0):
            self._wait_for_messages()
        self._submit_batch()  # or the messages that have just arrived

    def _submit_batch(self) -> None:
        """Start writing the next batch; after a stop, submit nothing: the batch before it may have been abandoned."""
        if self.worker.is_free and self.builder.batch.next_offsets and not self.stop.is_set():
            self.worker.submit(self.builder.take(self.breaker.probed_offsets))
            self.state.become(self.breaker.reading_state)

    def _wait_for_messages(self) -> None:
        if self.worker.is_free:
            self.receiver.add_messages(1, IDLE_POLL_SECONDS)
        else:
            self.worker.wait_finished(WRITE_POLL_SECONDS)

    def _wait_for_room(self) -> None:
        """Wait for the end of a write, which takes well under a second. A longer one is an outage: pause fetching."""
        if not self.worker.wait_finished(PAUSE_AFTER_SECONDS):
            self.state.become(ConsumerState.PAUSED)

    def _wait_for_outage(self) -> None:
        """Poll until the batch that is written has finished; then submit the full one, and fetch again."""
        self._submit_batch()
        if self.state.current is ConsumerState.PAUSED:
            self.receiver.add_messages(1, PAUSED_POLL_SECONDS)

    def _wait_for_breaker(self) -> None:
        """Poll and skip messages until the pause ends; then continue where the circuit breaker opened."""
        self.receiver.add_messages(1, PAUSED_POLL_SECONDS)
        if monotonic() >= self.breaker.paused_until:
            self.positions.seek(self.breaker.end_pause())
            self.state.become(self.breaker.reading_state)

    def _probe(self) -> None:
        """Collect a whole probe, or all messages there are: the first message alone would prove nothing."""
        limits, batch = self.breaker.limits, self.builder.batch
        count = min(self.builder.room(limits), limits.messages - len(batch))
        any_arrived = self.receiver.add_messages(count, IDLE_POLL_SECONDS)
        if not any_arrived or batch.must_submit(limits):
            self._submit_batch()
        if not any_arrived and self.worker.is_free:
            self.positions.seek(self.breaker.restart_probe())

    def _update_gauges(self) -> None:
        self.fetch.count_paused_time()
        # The client learns the ends of partitions by fetching, so the ends of the others are queried.
        unfetched = self.positions.assigned if self.fetch.is_paused else self.errors.partitions_without_offset
        self.lag.update(unfetched)

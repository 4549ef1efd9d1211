"""What the loop does in each state of the consumer."""

from dataclasses import dataclass
from typing import Final, assert_never

from service.handler.kafka.consumer.assignment import Assignment
from service.handler.kafka.consumer.flow_control.breaker_control import BreakerControl
from service.handler.kafka.consumer.flow_control.state import ConsumerState, ConsumerStateMachine
from service.handler.kafka.consumer.pipeline import BatchPipeline
from service.handler.kafka.consumer.poll_dispatcher import PollDispatcher
from service.handler.kafka.consumer.worker import BatchWorker

IDLE_POLL_SECONDS: Final = 0.25
"""How long a poll blocks while nothing is written."""
WRITE_POLL_SECONDS: Final = 0.005
"""How long the loop waits for the end of a write when no message has arrived: short, because fetching continues."""
PAUSED_POLL_SECONDS: Final = 0.1
"""How long a poll blocks while fetching is paused: it only runs the client's callbacks."""
PAUSE_AFTER_SECONDS: Final = 1.0
"""Long, because pausing discards the prefetched messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateActions:
    """A full batch waits `pause_after` seconds before fetching is paused."""

    dispatcher: PollDispatcher
    pipeline: BatchPipeline
    worker: BatchWorker
    breaker: BreakerControl
    state: ConsumerStateMachine
    assignment: Assignment
    pause_after: float = PAUSE_AFTER_SECONDS

    def run(self) -> None:
        """Block for at most a second."""
        match self.state.current:
            case ConsumerState.RUNNING:
                self._fill_batch()
            case ConsumerState.WAITING_FOR_STORE | ConsumerState.PROBE_WAITING_FOR_STORE:
                self._wait_for_store()
            case ConsumerState.BREAKER_OPEN | ConsumerState.REREADING:
                self._wait_for_breaker()
            case ConsumerState.PROBING if self.worker.is_free:
                self._probe()
            case ConsumerState.PROBING:
                self._fill_batch()
            case state:
                assert_never(state)

    def _fill_batch(self) -> None:
        self.pipeline.submit()  # the batch that was filled during the last write
        if self.pipeline.is_full:
            self._wait_for_write()
        elif not self.dispatcher.poll(self.pipeline.capacity, 0):
            self._wait_for_messages()
        self.pipeline.submit()  # or the messages that have just arrived

    def _wait_for_messages(self) -> None:
        if self.worker.is_free:
            self.dispatcher.poll(1, IDLE_POLL_SECONDS)
        else:
            self.worker.wait_finished(WRITE_POLL_SECONDS)

    def _wait_for_write(self) -> None:
        """Wait for the end of a write, which takes well under a second. A longer one is an outage: pause fetching."""
        if not self.worker.wait_finished(self.pause_after):
            self.state.wait_for_store()

    def _wait_for_store(self) -> None:
        """Poll until the batch that is written has finished; then submit the full one, and fetch again."""
        self.pipeline.submit()
        if not self.state.is_fetching:
            self.dispatcher.poll(1, PAUSED_POLL_SECONDS)

    def _wait_for_breaker(self) -> None:
        """Poll and skip messages until the pause ends; then continue where the circuit breaker opened."""
        self.dispatcher.poll(1, PAUSED_POLL_SECONDS)
        if self.state.breaker_pause is not None and self.state.breaker_pause.is_over:
            self.assignment.seek(self.state.breaker_pause.reread_offsets)
            self.breaker.start_probe()
            self.state.end_pause()

    def _probe(self) -> None:
        """Collect a whole probe, or all messages there are: the first message alone would prove nothing."""
        any_arrived = self.dispatcher.poll(self.pipeline.capacity, IDLE_POLL_SECONDS)
        if not any_arrived or self.pipeline.is_full:
            self.pipeline.submit()
        if not any_arrived and self.worker.is_free:
            self.assignment.seek(self.breaker.restart_probe())

"""Handles the end of a batch: reports it, advances its offsets, and changes the state of the consumer."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from structlog.typing import FilteringBoundLogger

from service.errors import Stopped
from service.handler.kafka.consumer.batch_builder import BatchBuilder
from service.handler.kafka.consumer.breaker_control import BreakerControl
from service.handler.kafka.consumer.outcome_report import report_outcome
from service.handler.kafka.consumer.progress import Progress
from service.handler.kafka.consumer.state import ConsumerState, ConsumerStateMachine
from service.handler.kafka.consumer.worker import Finished

if TYPE_CHECKING:
    from service.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCompletion:
    """Belongs to the reading thread."""

    builder: BatchBuilder
    progress: Progress
    breaker: BreakerControl
    state: ConsumerStateMachine
    metrics: "Metrics"
    log: FilteringBoundLogger

    def on_batch_done(self, finished: Finished) -> None:
        """Handle the outcome of a batch. Raises the error that ended it, unless it was a stop."""
        batch, outcome = finished.batch, finished.outcome
        if outcome is None:
            if finished.error is not None and not isinstance(finished.error, Stopped):
                raise finished.error
            return
        report_outcome(batch, outcome, finished.seconds, self.metrics, self.log)
        if finished.is_done:
            self.progress.advance(batch, is_committed=outcome.is_committed)
        if self.breaker.on_outcome(batch, outcome, self.builder.batch):
            self._discard_and_pause()
        elif self.state.current is ConsumerState.PROBING:
            self.state.become(self.breaker.reading_state)

    def _discard_and_pause(self) -> None:
        self.state.become(ConsumerState.BREAKER_OPEN)
        self.progress.forget_all_ends()
        self.builder.discard(self.breaker.probed_offsets)

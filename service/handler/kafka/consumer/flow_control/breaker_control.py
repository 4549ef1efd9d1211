"""The reading thread's side of the circuit breaker: where to pause, what to probe, and where to read again."""

from collections.abc import Collection
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Final

from structlog.typing import FilteringBoundLogger

from service.entities.partition import Partition
from service.handler.kafka.consumer.flow_control.breaker_pause import BreakerPause
from service.handler.kafka.consumer.flow_control.probe import Probe
from service.handler.kafka.consumer.flow_control.state import ConsumerStateMachine
from service.usecases.batch import Batch, BatchLimits
from service.usecases.circuit_breaker import BreakerState
from service.usecases.outcome import Decision, Outcome

if TYPE_CHECKING:
    from service.config import CircuitBreakerSettings
    from service.metrics import ConsumptionMetrics

FIX_PRODUCER: Final = "fix the producer"
FIX_SCHEMA: Final = "remove the constraint, trigger or column that makes PostgreSQL reject orders"


class BreakerControl:
    """Opens and closes the breaker in `state` as the outcomes of batches require.

    `limits` are those of every batch; a probe has fewer messages.
    """

    def __init__(
        self,
        *,
        settings: "CircuitBreakerSettings",
        limits: BatchLimits,
        state: ConsumerStateMachine,
        metrics: "ConsumptionMetrics",
        log: FilteringBoundLogger,
    ) -> None:
        self._settings = settings
        self._limits = limits
        self._state = state
        self._metrics = metrics
        self._log = log
        self._probe: Probe | None = None
        self.probed_offsets: dict[Partition, int] = {}
        """Offsets by partition. Later orders were stored: if an earlier one is rejected, its data is at fault."""

    @property
    def limits(self) -> BatchLimits:
        if not self._state.is_breaker_open:
            return self._limits
        size = self._probe.size if self._probe else self._settings.probe_messages
        return replace(self._limits, messages=size)

    @property
    def held_back(self) -> Collection[Partition]:
        """The partitions of which messages are held back while probes are tried."""
        return self._probe.held_back if self._probe is not None else ()

    @property
    def starts_over(self) -> bool:
        """Whether the next probe starts at the first message that is held back, after others have tried them all."""
        return self._probe is not None and self._probe.starts_over

    def on_outcome(self, batch: Batch, outcome: Outcome, next_batch: Batch) -> None:
        """Start a pause if one must follow this batch; the caller then discards `next_batch`.

        The pause is over immediately if all messages that were held back must be read again.
        """
        was_open = self._state.is_breaker_open
        if outcome.decision is Decision.COMMIT:
            self._on_commit(batch, outcome, next_batch)
        elif outcome.decision is Decision.REREAD:
            self._on_reread(batch, next_batch)
        elif outcome.breaker is BreakerState.OPEN_FOR_MESSAGES:
            self._open(outcome.problem, FIX_PRODUCER, next_batch.start_offsets | batch.start_offsets)
        else:
            self._probe = self._extended_probe(batch, next_batch)
            self._open(outcome.problem, FIX_SCHEMA, dict(self._probe.next))
        if was_open and not self._state.is_breaker_open:
            self._close()

    def start_probe(self) -> None:
        """Start measuring how long the probe waits for messages."""
        if self._probe is not None:
            self._probe.started_at = monotonic()

    def restart_probe(self) -> dict[Partition, int]:
        """Return where to probe from if the last probe reached the end of the topic, otherwise nothing."""
        if self._probe is None or not self._probe.is_at_end(monotonic()):
            return {}
        return self._probe.rewind()

    def drop(self, partitions: frozenset[Partition]) -> None:
        if self._state.breaker_pause is not None:
            self._state.breaker_pause.drop(partitions)
        if self._probe is not None:
            self._probe.drop(partitions)
        self.probed_offsets = {
            partition: offset for partition, offset in self.probed_offsets.items() if partition not in partitions
        }

    def _on_commit(self, batch: Batch, outcome: Outcome, next_batch: Batch) -> None:
        committed = batch.commit_offsets
        self.probed_offsets = {
            partition: offset
            for partition, offset in self.probed_offsets.items()
            if committed.get(partition, 0) < offset
        }
        if outcome.breaker is BreakerState.CLOSED:
            self._state.on_commit()
        else:
            self._open("most of the probed messages are bad", FIX_PRODUCER, next_batch.start_offsets)

    def _on_reread(self, batch: Batch, next_batch: Batch) -> None:
        """Read all messages that were held back again. If PostgreSQL rejects an order now, the order is at fault."""
        probe, self._probe = self._extended_probe(batch, next_batch), None
        self.probed_offsets = probe.tried_until
        self._state.reread(BreakerPause(monotonic(), probe.held_back))

    def _extended_probe(self, batch: Batch, next_batch: Batch) -> Probe:
        if self._probe is None:
            return Probe.before(batch, next_batch, self._settings.probe_messages)
        self._probe.add(batch, next_batch)
        self._probe.grow(self._limits.messages)
        return self._probe

    def _close(self) -> None:
        self._metrics.circuit_breaker_open.set(0)
        self._log.info("the circuit breaker is closed: consumption continues")

    def _open(self, problem: str, hint: str, offsets: dict[Partition, int]) -> None:
        """Pause at these offsets: nothing from there on was committed or dead-lettered."""
        retry_after = self._settings.retry_after
        self._metrics.circuit_breaker_open.set(1)
        self._log.error(
            "the circuit breaker is open: consumption is paused",
            problem=problem,
            retry_after_seconds=retry_after,
            hint=f"{hint}, or set ORDERS_CIRCUIT_BREAKER__ENABLED=false to dead-letter them all",
        )
        self._state.open_breaker(BreakerPause(monotonic() + retry_after, offsets))

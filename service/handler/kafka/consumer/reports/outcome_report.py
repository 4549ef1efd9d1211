"""Counts and logs the outcome of a batch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from structlog.typing import FilteringBoundLogger

from service.usecases.batch import Batch
from service.usecases.outcome import Decision, Outcome, StoreState
from service.usecases.ports.ingest import StoreCounts

if TYPE_CHECKING:
    from service.metrics import ConsumerMetrics


@dataclass(frozen=True, slots=True)
class OutcomeReport:
    metrics: "ConsumerMetrics"
    log: FilteringBoundLogger

    def __call__(self, batch: Batch, outcome: Outcome, write_seconds: float) -> None:
        """Count the outcome. Dead letters and tombstones count once they are final, which depends on the decision."""
        for message_format in batch.formats_decoded_later:
            self.metrics.ingest.decoded.labels(message_format).inc()
        self._count_orders(outcome.counts)
        if outcome.store is not StoreState.NOT_CALLED:
            self.metrics.dependency_up.labels("postgresql").set(outcome.store is StoreState.AVAILABLE)
        if outcome.decision is not Decision.COMMIT:
            return
        self.metrics.batches.seconds.labels("write").observe(write_seconds)
        self.metrics.ingest.tombstones.inc(batch.tombstones)
        for dead_letter in outcome.dead_letters:
            record = dead_letter.record
            self.metrics.dead_letters.sent.labels(dead_letter.reason).inc()
            self.log.warning(
                "a message was dead-lettered", reason=dead_letter.reason, detail=dead_letter.detail,
                topic=record.topic, partition=record.partition, offset=record.offset,
            )  # fmt: skip

    def _count_orders(self, counts: StoreCounts) -> None:
        metrics = self.metrics.ingest
        metrics.stored.inc(counts.new)
        metrics.replaced.inc(counts.replaced)
        metrics.unchanged.inc(counts.unchanged)
        metrics.stale.inc(counts.stale)
        metrics.erased_skipped.inc(counts.erased)
        metrics.expired_skipped.inc(counts.expired)

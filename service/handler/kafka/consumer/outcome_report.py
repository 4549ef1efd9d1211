"""Counts and logs the outcome of a batch."""

from typing import TYPE_CHECKING

from structlog.typing import FilteringBoundLogger

from service.usecases.batch import Batch
from service.usecases.ingest import Decision, Outcome

if TYPE_CHECKING:
    from service.metrics import Metrics


def report_outcome(
    batch: Batch, outcome: Outcome, write_seconds: float, metrics: "Metrics", log: FilteringBoundLogger
) -> None:
    """Dead letters and tombstones count once they are final, which depends on the decision."""
    metrics.ingest.stored.inc(outcome.stored.new)
    metrics.ingest.replaced.inc(outcome.stored.replaced)
    metrics.ingest.unchanged.inc(outcome.stored.unchanged)
    metrics.ingest.stale.inc(outcome.stored.stale)
    metrics.ingest.erased_skipped.inc(outcome.stored.erased)
    metrics.ingest.expired_skipped.inc(outcome.stored.expired)
    if outcome.is_store_available is not None:
        metrics.dependency_up.labels("postgresql").set(outcome.is_store_available)
    if outcome.decision is not Decision.COMMIT:
        return
    metrics.batches.seconds.labels("write").observe(write_seconds)
    metrics.ingest.tombstones.inc(batch.tombstones)
    for dead_letter in outcome.dead_letters:
        metrics.dead_letters.sent.labels(dead_letter.reason).inc()
        log.warning(
            "dead letter", reason=dead_letter.reason, detail=dead_letter.detail,
            partition=dead_letter.partition, offset=dead_letter.message.offset,
        )  # fmt: skip

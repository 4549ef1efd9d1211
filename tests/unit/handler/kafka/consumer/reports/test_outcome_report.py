"""What became of a batch is counted, and each dead letter is logged without its value."""

import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from service.entities.dead_letter import DeadLetter, Reason
from service.entities.message_format import MessageFormat
from service.entities.record import Record
from service.handler.kafka.consumer.reports.outcome_report import OutcomeReport
from service.metrics import ConsumerMetrics
from service.usecases.batch import Batch
from service.usecases.outcome import Decision, Outcome, StoreState
from service.usecases.ports.ingest import StoreCounts

STORED = StoreCounts(new=1, replaced=2, unchanged=3, stale=4, erased=5, expired=6)
RECORD = Record("orders", 2, 7, 1_000, b"key", b"a secret", [])
DEAD_LETTER = DeadLetter(RECORD, Reason.INVALID, "sm_id: is missing")


def report(metrics: ConsumerMetrics, outcome: Outcome) -> list[EventDict]:
    """Report the outcome of a batch with one tombstone that took 1.5 s; return the logged events."""
    batch = Batch()
    batch.add_tombstone()
    with capture_logs() as logs:
        OutcomeReport(metrics, structlog.get_logger())(batch, outcome, 1.5)
    return [*logs]


def sample(metrics: ConsumerMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"orders_{name}", labels)


def test_stored_orders_are_counted_by_what_became_of_them(metrics: ConsumerMetrics) -> None:
    report(metrics, Outcome(STORED))
    names = ("stored", "replaced", "unchanged", "stale", "erased_skipped", "expired_skipped", "tombstones")
    assert [sample(metrics, f"{name}_total") for name in names] == [1, 2, 3, 4, 5, 6, 1]
    assert sample(metrics, "batch_seconds_sum", stage="write") == 1.5


def test_formats_that_the_writing_thread_decoded_are_counted(metrics: ConsumerMetrics) -> None:
    batch = Batch()
    batch.formats_decoded_later += [MessageFormat.CONFLUENT, MessageFormat.CONFLUENT, MessageFormat.CONNECT]
    OutcomeReport(metrics, structlog.get_logger())(batch, Outcome(STORED), 1.5)
    assert [sample(metrics, "decoded_total", format=each) for each in ("confluent", "connect")] == [2, 1]


@pytest.mark.parametrize("decision", Decision)
def test_postgresql_is_up_as_its_last_call_found_it(metrics: ConsumerMetrics, decision: Decision) -> None:
    found = []
    not_called = StoreState.NOT_CALLED
    for store in (not_called, StoreState.AVAILABLE, not_called, StoreState.UNAVAILABLE, not_called):
        report(metrics, Outcome(StoreCounts(), decision=decision, store=store))
        found.append(sample(metrics, "dependency_up", dependency="postgresql"))
    assert found == [None, 1, 1, 0, 0]


def test_a_dead_letter_is_counted_and_logged_with_its_coordinates_but_without_its_value(
    metrics: ConsumerMetrics,
) -> None:
    (logged,) = report(metrics, Outcome(STORED, [DEAD_LETTER]))
    assert logged == {
        "event": "a message was dead-lettered", "log_level": "warning", "reason": "invalid",
        "detail": "sm_id: is missing", "topic": "orders", "partition": 2, "offset": 7,
    }  # fmt: skip
    assert sample(metrics, "dead_letters_total", reason="invalid") == 1


def test_a_batch_that_is_read_again_counts_its_dead_letters_and_tombstones_only_then(metrics: ConsumerMetrics) -> None:
    for decision in (Decision.HOLD_BACK, Decision.REREAD):
        assert report(metrics, Outcome(STORED, [DEAD_LETTER], decision=decision)) == []
    assert (sample(metrics, "stored_total"), sample(metrics, "tombstones_total")) == (2, 0)
    assert sample(metrics, "batch_seconds_count", stage="write") in {None, 0}
    assert sample(metrics, "dead_letters_total", reason="invalid") in {None, 0}

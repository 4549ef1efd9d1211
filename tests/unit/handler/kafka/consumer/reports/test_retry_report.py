"""Retries are logged as fixed sentences with the problem and a hint, and counted."""

import pytest
import structlog
from structlog.testing import capture_logs

from service.errors import (
    ConcurrentChange,
    DeadLettersUnavailable,
    RegistryUnavailable,
    SchemaUnknown,
    StatementTimedOut,
    StorageError,
    StorageUnavailable,
)
from service.handler.kafka.consumer.reports.retry_report import RetryReport
from service.metrics import ConsumerMetrics
from tests.kit.factories import versioned


@pytest.fixture
def report(metrics: ConsumerMetrics) -> RetryReport:
    return RetryReport(metrics, structlog.get_logger())


def sample(metrics: ConsumerMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"orders_{name}_total", labels)


def test_a_failed_transaction_is_logged_without_more_than_its_sqlstate(
    report: RetryReport, metrics: ConsumerMetrics
) -> None:
    error = StorageUnavailable("connection to PostgreSQL failed", sqlstate="08006")
    with capture_logs() as logs:
        report.on_retry(error, attempts=3, wait_seconds=0.12345)
    (logged,) = logs
    assert "`orders doctor`" in logged.pop("hint")
    assert logged == {
        "event": "storing failed and will be retried",
        "log_level": "warning",
        "problem": "connection to PostgreSQL failed",
        "sqlstate": "08006",
        "attempt": 3,
        "next_attempt_in_seconds": 0.12,
    }
    assert sample(metrics, "retries", sqlstate_class="08") == 1
    assert metrics.registry.get_sample_value("orders_dependency_up", {"dependency": "postgresql"}) == 0


def test_a_lost_race_is_no_outage(report: RetryReport, metrics: ConsumerMetrics) -> None:
    metrics.dependency_up.labels("postgresql").set(1)
    with capture_logs() as logs:
        report.on_retry(ConcurrentChange("another writer changed an order"), attempts=2, wait_seconds=0.12345)
    (logged,) = logs
    assert logged == {
        "event": "another writer was first: storing will be retried",
        "log_level": "info",
        "problem": "another writer changed an order",
        "sqlstate": "",
        "hint": "no action needed: the retry compares the versions again, and the greatest wins",
        "attempt": 2,
        "next_attempt_in_seconds": 0.12,
    }
    assert sample(metrics, "retries", sqlstate_class="none") == 1
    assert metrics.registry.get_sample_value("orders_dependency_up", {"dependency": "postgresql"}) == 1


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (StorageUnavailable("", sqlstate="01000"), "synchronous standbys"),
        (StorageUnavailable("", sqlstate="42501"), "roles.sql"),
        (StorageUnavailable("", sqlstate="53100"), "disk space"),
        (StorageUnavailable("", sqlstate="25006"), "primary"),
        (StorageUnavailable("", sqlstate="25P03"), "more CPU"),
        (StatementTimedOut("", sqlstate="57014"), "ORDERS_POSTGRES__STATEMENT_TIMEOUT"),
        (StatementTimedOut("", sqlstate="25P04"), "transaction_timeout"),
        (StorageUnavailable("", sqlstate="55P03"), "pg_blocking_pids"),
        (StorageUnavailable("", sqlstate="57P03"), "`orders doctor`"),
        (StorageUnavailable("", sqlstate="XX000"), "PostgreSQL's log"),
        (StorageUnavailable(""), "`orders doctor`"),
    ],
)
def test_the_hint_says_what_to_do_about_the_error(report: RetryReport, error: StorageError, word: str) -> None:
    with capture_logs() as logs:
        report.on_retry(error, attempts=1, wait_seconds=0)
    assert word in logs[0]["hint"]


def test_of_an_order_that_causes_an_internal_error_only_the_uid_is_logged(report: RetryReport) -> None:
    with capture_logs() as logs:
        report.on_bisected(versioned(7, partition=2, order_uid="uid"))
    (logged,) = logs
    assert "`orders erase`" in logged.pop("hint")
    assert logged == {
        "event": "PostgreSQL fails with an internal error on one order: this consumer is stalled",
        "log_level": "error",
        "order_uid": "uid",
        "topic": "orders",
        "partition": 2,
        "offset": 7,
    }


def test_an_internal_error_that_no_single_order_causes_is_logged_as_such(report: RetryReport) -> None:
    with capture_logs() as logs:
        report.on_bisected(None)
    event = "PostgreSQL fails with an internal error: no single order was found to cause it"
    assert logs == [{"event": event, "log_level": "warning"}]


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (RegistryUnavailable("http://registry: connection refused"), "`orders doctor`"),
        (SchemaUnknown("http://registry has no schema 17"), "ORDERS_REGISTRY__UNKNOWN_ID_ATTEMPTS"),
    ],
)
def test_a_schema_that_cannot_be_loaded_is_logged_until_it_is(
    report: RetryReport, error: RegistryUnavailable, word: str
) -> None:
    with capture_logs() as logs:
        report.on_retry(error, attempts=2, wait_seconds=0.12345)
        report.on_recovery(error)
    retried, recovered = logs
    assert word in retried.pop("hint")
    assert retried == {
        "event": "loading a schema failed and will be retried",
        "log_level": "warning",
        "problem": str(error),
        "attempt": 2,
        "next_attempt_in_seconds": 0.12,
    }
    assert recovered == {"event": "no longer waiting for the schema registry", "log_level": "info"}


def test_dead_letters_that_are_not_accepted_are_an_error(report: RetryReport, metrics: ConsumerMetrics) -> None:
    problem = "cannot produce to orders.dlq: unknown topic or partition (UNKNOWN_TOPIC_OR_PART)"
    with capture_logs() as logs:
        report.on_retry(DeadLettersUnavailable(problem, []), attempts=1, wait_seconds=0.12345)
    (logged,) = logs
    assert "dead-letter topic" in logged.pop("hint")
    assert logged == {
        "event": "producing dead letters failed and will be retried",
        "log_level": "error",
        "problem": problem,
        "attempt": 1,
        "next_attempt_in_seconds": 0.12,
    }
    assert sample(metrics, "dead_letter_retries") == 1


def test_the_hint_of_dead_letters_is_that_of_the_error(report: RetryReport) -> None:
    with capture_logs() as logs:
        report.on_retry(DeadLettersUnavailable("", [], "add an ACL"), attempts=1, wait_seconds=0)
    assert logs[0]["hint"] == "add an ACL"


def test_recoveries_and_give_ups_are_counted_by_cause(report: RetryReport, metrics: ConsumerMetrics) -> None:
    unreachable = StorageUnavailable("")
    with capture_logs() as logs:
        report.on_recovery(unreachable)
        report.on_give_up(unreachable)
        report.on_recovery(DeadLettersUnavailable("", []))
    assert [each["event"] for each in logs] == [
        "storing succeeded after retries",
        "producing dead letters succeeded after retries",
    ]
    assert sample(metrics, "retry_recoveries", sqlstate_class="none") == 1
    assert sample(metrics, "retry_give_ups", sqlstate_class="none") == 1
    assert sample(metrics, "dead_letter_recoveries") == 1

"""Logs and counts attempts that failed, and how their retries ended."""

from typing import TYPE_CHECKING

from structlog.typing import FilteringBoundLogger

from service.errors import StorageError, StorageUnavailable

if TYPE_CHECKING:
    from service.metrics import Metrics


class RetryReport:
    """Implements usecases.ingest.RetryObserver. Of a database error it logs no more than the SQLSTATE."""

    def __init__(self, metrics: "Metrics", log: FilteringBoundLogger) -> None:
        self._metrics = metrics
        self._log = log

    def on_retry(self, error: BaseException, attempts: int, wait_seconds: float) -> None:
        wait = round(wait_seconds, 2)
        if isinstance(error, StorageError):
            self._metrics.retries.labels(_sqlstate_class(error)).inc()
            self._metrics.dependency_up.labels("postgresql").set(0)
            self._log.warning(error.problem, sqlstate=error.sqlstate, attempt=attempts, next_attempt_in_seconds=wait)
        else:
            self._metrics.dead_letter_retries.inc()
            self._log.error(str(error), attempt=attempts, next_attempt_in_seconds=wait)

    def on_recovery(self, error: BaseException) -> None:
        if isinstance(error, StorageError):
            self._metrics.retry_recoveries.labels(_sqlstate_class(error)).inc()
        else:
            self._metrics.dead_letter_recoveries.inc()

    def on_give_up(self, error: StorageUnavailable) -> None:
        self._metrics.retry_give_ups.labels(_sqlstate_class(error)).inc()


def _sqlstate_class(error: StorageError) -> str:
    return error.sqlstate[:2] or "none"

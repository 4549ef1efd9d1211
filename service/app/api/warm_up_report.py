"""Logs the cache warm-up. Implements usecases.ports.reads.WarmUpObserver."""

from structlog.typing import FilteringBoundLogger

from service.errors import StorageUnavailable


class WarmUpReport:
    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log

    def on_retry(self, error: StorageUnavailable) -> None:
        self._log.warning("cache warm-up failed and will be retried", problem=error.problem, sqlstate=error.sqlstate)

    def on_overdue(self, problem: str) -> None:
        self._log.warning("serving before cache warm-up has finished", problem=problem)

    def on_done(self, orders: int, seconds: float) -> None:
        self._log.info("cache warm-up finished", orders=orders, seconds=round(seconds, 3))

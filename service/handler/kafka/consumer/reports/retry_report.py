"""Logs and counts attempts that failed, and how their retries ended. Implements usecases.ports.ingest.RetryObserver."""

from typing import TYPE_CHECKING, Final

from structlog.typing import FilteringBoundLogger

from service.entities.version import VersionedOrder
from service.errors import (
    ConcurrentChange,
    DeadLettersUnavailable,
    RegistryUnavailable,
    SchemaUnknown,
    StorageError,
    StorageUnavailable,
)

if TYPE_CHECKING:
    from service.metrics import ConsumerMetrics

_HINTS: Final = {
    "01": "if it repeats, find who cancels or terminates the consumer's sessions, and check the synchronous standbys",
    "25006": "point ORDERS_POSTGRES__DSN at the primary",
    "25P03": "if it repeats, give the consumer more CPU: it sent nothing for five seconds",
    "25P04": "if it repeats, raise PostgreSQL's transaction_timeout for the consumer's role",
    "42": "run `orders migrate`, then grant the role its privileges with roles.sql",
    "53": "give PostgreSQL more disk space, memory or connections",
    "55P03": "if it repeats, find the session that holds the lock with pg_blocking_pids()",
    "XX": "look for the cause in PostgreSQL's log; with Citus, also in its workers'",
    "57014": "if it repeats, find what blocks PostgreSQL, or raise ORDERS_POSTGRES__STATEMENT_TIMEOUT",
}
"""Hints by SQLSTATE or its class."""
_NOTHING_TO_DO: Final = "no action needed: the retry compares the versions again, and the greatest wins"
_CHECK_POSTGRESQL: Final = "check that PostgreSQL is running and reachable: `orders doctor` names what fails"
_CORRECT_OR_ERASE: Final = (
    "look for the cause in PostgreSQL's log (with Citus, in its workers'), and fix it; or skip the order with "
    "`orders erase`"
)
_CHECK_DEAD_LETTER_TOPIC: Final = (
    "check that the dead-letter topic exists and that the user may write to it: `orders doctor` names what fails"
)
_CHECK_REGISTRY: Final = "check that the schema registry is running and reachable: `orders doctor` names what fails"
_CHECK_ID: Final = (
    "if it repeats, check that the producer uses this registry: after ORDERS_REGISTRY__UNKNOWN_ID_ATTEMPTS the message "
    "is dead-lettered"
)


class RetryReport:
    """Belongs to the writing thread.

    Logs only a fixed phrase and the SQLSTATE of a database error, and only the uid of an order.
    """

    def __init__(self, metrics: "ConsumerMetrics", log: FilteringBoundLogger) -> None:
        self._metrics = metrics
        self._log = log

    def on_retry(self, error: BaseException, attempts: int, wait_seconds: float) -> None:
        if isinstance(error, ConcurrentChange):
            self._on_concurrent_change(error, attempts, round(wait_seconds, 2))
        elif isinstance(error, StorageError):
            self._on_store_retry(error, attempts, round(wait_seconds, 2))
        elif isinstance(error, RegistryUnavailable):
            self._on_registry_retry(error, attempts, round(wait_seconds, 2))
        else:
            self._on_dead_letter_retry(error, attempts, round(wait_seconds, 2))

    def on_recovery(self, error: BaseException) -> None:
        if isinstance(error, StorageError):
            self._metrics.writes.recoveries.labels(_sqlstate_class(error)).inc()
            self._log.info("storing succeeded after retries")
        elif isinstance(error, RegistryUnavailable):
            self._log.info("no longer waiting for the schema registry")
        else:
            self._metrics.dead_letters.recoveries.inc()
            self._log.info("producing dead letters succeeded after retries")

    def on_give_up(self, error: StorageUnavailable) -> None:
        self._metrics.writes.give_ups.labels(_sqlstate_class(error)).inc()

    def on_bisected(self, found: VersionedOrder | None) -> None:
        """Log the order on which PostgreSQL fails with an internal error. None: no single order causes it."""
        if found is None:
            self._log.warning("PostgreSQL fails with an internal error: no single order was found to cause it")
            return
        self._log.error(
            "PostgreSQL fails with an internal error on one order: this consumer is stalled",
            order_uid=found.order.order_uid,
            topic=found.source.topic,
            partition=found.source.partition,
            offset=found.source.offset,
            hint=_CORRECT_OR_ERASE,
        )

    def _on_concurrent_change(self, error: ConcurrentChange, attempts: int, wait: float) -> None:
        """PostgreSQL is available: leave `dependency_up` as it is."""
        self._metrics.writes.retries.labels(_sqlstate_class(error)).inc()
        self._log.info(
            "another writer was first: storing will be retried",
            problem=error.problem,
            sqlstate=error.sqlstate,
            hint=_NOTHING_TO_DO,
            attempt=attempts,
            next_attempt_in_seconds=wait,
        )

    def _on_store_retry(self, error: StorageError, attempts: int, wait: float) -> None:
        self._metrics.writes.retries.labels(_sqlstate_class(error)).inc()
        self._metrics.dependency_up.labels("postgresql").set(0)
        self._log.warning(
            "storing failed and will be retried",
            problem=error.problem,
            sqlstate=error.sqlstate,
            hint=_HINTS.get(error.sqlstate) or _HINTS.get(error.sqlstate[:2], _CHECK_POSTGRESQL),
            attempt=attempts,
            next_attempt_in_seconds=wait,
        )

    def _on_registry_retry(self, error: RegistryUnavailable, attempts: int, wait: float) -> None:
        self._log.warning(
            "loading a schema failed and will be retried",
            problem=str(error),
            hint=_CHECK_ID if isinstance(error, SchemaUnknown) else _CHECK_REGISTRY,
            attempt=attempts,
            next_attempt_in_seconds=wait,
        )

    def _on_dead_letter_retry(self, error: BaseException, attempts: int, wait: float) -> None:
        self._metrics.dead_letters.retries.inc()
        self._log.error(
            "producing dead letters failed and will be retried",
            problem=str(error),
            hint=(isinstance(error, DeadLettersUnavailable) and error.hint) or _CHECK_DEAD_LETTER_TOPIC,
            attempt=attempts,
            next_attempt_in_seconds=wait,
        )


def _sqlstate_class(error: StorageError) -> str:
    return error.sqlstate[:2] or "none"

"""Retention: consumers do not store expired orders, and `orders prune` deletes them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final

from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.ports.operations import ExpiredOrders

ORDERS_PER_TRANSACTION: Final = 500
EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
"""Earlier than the date of any order."""


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How long an order is kept after it was created. None: forever."""

    max_age: timedelta | None

    @classmethod
    def of_seconds(cls, max_age: float | None) -> "RetentionPolicy":
        return cls(None if max_age is None else timedelta(seconds=max_age))

    def cutoff(self, now: datetime) -> datetime:
        """Return the cutoff: orders that were created earlier have expired."""
        return EARLIEST if self.max_age is None else now - self.max_age


KEEP_FOREVER: Final = RetentionPolicy(None)


def prune(
    orders: ExpiredOrders, rate: float, stop: ShutdownEvent, now: Callable[[], float] = monotonic
) -> Iterator[int]:
    """Yield the number of orders that each transaction deleted, until none is left.

    Deletes at most `rate` orders per second, and in one transaction no more than in one second; 0 means unlimited.
    Raises StorageError, and Stopped between two transactions.
    """
    limit = max(1, int(min(rate or ORDERS_PER_TRANSACTION, ORDERS_PER_TRANSACTION)))
    delay = 0.0
    while True:
        stop.sleep(delay)
        started = now()
        deleted = orders.delete_oldest(limit)
        if not deleted:
            return
        yield deleted
        delay = deleted / rate - (now() - started) if rate else 0.0

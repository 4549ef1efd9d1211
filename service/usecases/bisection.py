"""Finds the order on which the database fails with an internal error, by bisecting the batch.

Such an error does not name the order that caused it, and the cause may not be an order at all: it can be a row that a
worker of Citus rejects during a COPY, or a damaged index. No order is dead-lettered for it. The batch is retried as in
any outage, so the log has to tell the operator which order to look at.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from time import monotonic

from service.entities.version import RecordCoordinates, VersionedOrder
from service.errors import InternalError, StorageError
from service.usecases.ports.ingest import OrderStore, StoreCounts

OpenTrialStore = Callable[[], AbstractContextManager[OrderStore]]
"""Opens a store whose transactions are all rolled back."""


class BisectingStore:
    """Implements usecases.ports.ingest.OrderStore with another one.

    If a batch fails with an internal error for the second time, it is bisected, and `on_bisected` is called with the
    order, or with None if none was found. This takes at most log2(n) + 1 trials, and no trial
    starts after `max_seconds`.
    """

    def __init__(
        self,
        store: OrderStore,
        open_trial_store: OpenTrialStore,
        on_bisected: Callable[[VersionedOrder | None], None],
        *,
        max_seconds: float,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        self._open_trial_store = open_trial_store
        self._on_bisected = on_bisected
        self._max_seconds = max_seconds
        self._now = now
        self._failures: Counter[RecordCoordinates] = Counter()
        """Consecutive failures of the batch that failed last, by its first order."""

    def store(self, orders: Sequence[VersionedOrder]) -> StoreCounts:
        try:
            return self._store.store(orders)
        except InternalError:
            self._on_internal_error(orders)
            raise

    def _on_internal_error(self, orders: Sequence[VersionedOrder]) -> None:
        first = orders[0].source
        self._failures = Counter({first: self._failures[first] + 1})
        if self._failures[first] == 2:  # noqa: PLR2004 - the first attempt and its retry
            self._on_bisected(self._find(orders))

    def _find(self, orders: Sequence[VersionedOrder]) -> VersionedOrder | None:
        with suppress(StorageError, TimeoutError), self._open_trial_store() as trial:
            deadline = self._now() + self._max_seconds
            while len(orders) > 1:
                middle = len(orders) // 2
                orders = orders[:middle] if self._fails(trial, orders[:middle], deadline) else orders[middle:]
            if self._fails(trial, orders, deadline):
                return orders[0]
        return None

    def _fails(self, trial: OrderStore, orders: Sequence[VersionedOrder], deadline: float) -> bool:
        """Return whether these orders cause an internal error. Raises TimeoutError, and any other StorageError."""
        if self._now() > deadline:
            raise TimeoutError
        try:
            trial.store(orders)
        except InternalError:
            return True
        return False

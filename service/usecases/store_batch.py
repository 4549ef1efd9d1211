"""Stores the orders of a batch. Splits a batch that the database rejects, until each rejected order is on its own."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Event

from service.entities.dead_letter import DeadLetter, Reason
from service.errors import ConcurrentChange, OrderRejected, StatementTimedOut, StorageError, StorageUnavailable
from service.pkg.backoff import Backoff
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.batch import Batch, ConsumedOrder
from service.usecases.outcome import StoreState
from service.usecases.ports.ingest import OrderStore, RetryObserver, StoreCounts
from service.usecases.retrier import Retrier


@dataclass(slots=True)
class StoreResult:
    """The results of storing a batch's orders."""

    counts: StoreCounts = field(default_factory=StoreCounts)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    """Orders that the database rejected, or that were not stored within `give_up_after`."""
    order_flags: bytearray = field(default_factory=bytearray)
    """1 for each rejected order, 0 for each stored one, for the circuit breaker."""
    store: StoreState = StoreState.NOT_CALLED

    def add_stored(self, counts: StoreCounts) -> None:
        if any(counts):  # otherwise the store was not called, because every partition was revoked
            self.store = StoreState.AVAILABLE
        self.counts += counts
        self.order_flags.extend(bytes(counts.new + counts.replaced))

    def add_rejected(self, dead_letter: DeadLetter, *, counts_for_breaker: bool) -> None:
        self.store = StoreState.AVAILABLE
        self.dead_letters.append(dead_letter)
        if counts_for_breaker:
            self.order_flags.append(1)

    def add_given_up(self, dead_letters: Iterable[DeadLetter]) -> None:
        self.store = StoreState.UNAVAILABLE
        self.dead_letters.extend(dead_letters)


class StoreBatch:
    """Belongs to the writing thread. `is_waiting` is set while it waits for the next attempt."""

    def __init__(
        self, store: OrderStore, backoff: Backoff, stop: ShutdownEvent, observer: RetryObserver, is_waiting: Event
    ) -> None:
        self._store = store
        self._observer = observer
        self._retrier = Retrier(
            backoff, stop, observer, is_waiting, is_transient=_is_unavailable, may_give_up=_may_give_up
        )

    def __call__(self, batch: Batch) -> StoreResult:
        """Store all orders, in one transaction unless the database rejects it.

        Raises any other StorageError, so that no offset is committed, and Stopped.
        """
        result = StoreResult()
        pending = deque([[*batch.orders]])  # a copy: the reading thread counts the batch
        while pending:
            pending.extendleft(reversed(self._store_or_split(pending.popleft(), batch, result)))
        return result

    def _store_or_split(
        self, orders: list[ConsumedOrder], batch: Batch, result: StoreResult
    ) -> list[list[ConsumedOrder]]:
        """Store the orders in one transaction, or return the parts in which to store them instead."""
        try:
            result.add_stored(self._store_owned(orders, batch))
        except OrderRejected as error:
            if len(orders) > 1:
                return split_around(orders, error.index)
            is_probed = batch.is_already_probed(orders[0])
            result.add_rejected(self._dead_letter(orders[0], error), counts_for_breaker=not is_probed)
        except StatementTimedOut as error:
            self._observer.on_retry(error, self._retrier.attempts, 0)
            return split_in_half(orders)
        except StorageUnavailable as error:
            self._observer.on_give_up(error)
            result.add_given_up(self._dead_letter(order, error) for order in orders)
        return []

    def _store_owned(self, orders: list[ConsumedOrder], batch: Batch) -> StoreCounts:
        """Retry until stored. Raises StorageUnavailable when the retries are given up.

        Removes the orders of revoked partitions from `orders`. Raises StatementTimedOut only for several orders.
        """

        def attempt() -> StoreCounts:
            orders[:] = batch.owned(orders)
            try:
                return self._store.store([order.versioned for order in orders]) if orders else StoreCounts()
            except StatementTimedOut as error:
                if len(orders) > 1:
                    raise
                raise StorageUnavailable(error.problem, sqlstate=error.sqlstate) from error

        return self._retrier.call(attempt)

    def _dead_letter(self, order: ConsumedOrder, error: StorageError) -> DeadLetter:
        where = f" at {error.where}" if isinstance(error, OrderRejected) and error.where else ""
        return DeadLetter(order.record, Reason.REJECTED, f"{error}{where}", self._retrier.attempts)


def _is_unavailable(error: BaseException) -> bool:
    return isinstance(error, StorageUnavailable)


def _may_give_up(error: BaseException | None) -> bool:
    return not isinstance(error, ConcurrentChange)


def split_in_half(orders: list[ConsumedOrder]) -> list[list[ConsumedOrder]]:
    middle = len(orders) // 2
    return [half for half in (orders[:middle], orders[middle:]) if half]


def split_around(orders: list[ConsumedOrder], index: int | None) -> list[list[ConsumedOrder]]:
    """Return the orders before the rejected one, the rejected one, and the rest in two halves.

    The rest is halved because it may contain more orders that the database rejects.
    """
    if index is None:
        return split_in_half(orders)
    before, rejected, after = orders[:index], orders[index : index + 1], orders[index + 1 :]
    return [piece for piece in (before, rejected, *split_in_half(after)) if piece]

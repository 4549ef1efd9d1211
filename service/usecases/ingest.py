"""Writes a batch: orders to the store, dead letters to their topic. Retries both until they succeed.

The outcome says whether the batch's offsets may be committed. If Ingest raises, they must not be.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from threading import Event
from typing import Generic, NamedTuple, TypeVar

from tenacity import RetryCallState, Retrying

from service.entities.dead_letter import DeadLetter, Reason
from service.errors import (
    ConcurrentChange,
    DeadLettersUnavailable,
    OrderRejected,
    StatementTimedOut,
    StorageError,
    StorageUnavailable,
)
from service.pkg.retry import Backoff, retrying
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.circuit_breaker import BreakerState, CircuitBreaker
from service.usecases.ports.batch import Batch, ConsumedOrder
from service.usecases.ports.ingest import DeadLetters, OrderStore, RetryObserver, StoreCounts


class Decision(Enum):
    """What to do with the offsets of a batch."""

    COMMIT = auto()
    """Every order is stored and every dead letter is acknowledged."""
    HOLD_BACK = auto()
    """The circuit breaker is open: nothing of the batch was dead-lettered, and it must be read again."""
    REREAD = auto()
    """A probe showed that the database stores orders again: everything that was held back must be read again."""


class Outcome(NamedTuple):
    """The result of a batch."""

    counts: StoreCounts
    dead_letters: Sequence[DeadLetter] = ()
    decision: Decision = Decision.COMMIT
    is_committed: bool = False
    """Whether the offsets were committed together with the dead letters."""
    breaker: BreakerState = BreakerState.CLOSED
    """The state of the circuit breaker after this batch."""
    problem: str = ""
    """Why the batch is held back."""
    is_store_available: bool | None = None
    """Whether the store answered the last call for this batch; None if it was not called."""


_Result = TypeVar("_Result")

Write = Callable[[Batch], Outcome]
BatchMiddleware = Callable[[Write], Write]
"""Wraps the function that writes a batch, for example to trace it."""


def no_middleware(write: Write) -> Write:
    return write


@dataclass(slots=True)
class _StoreResult:
    """The results of storing a batch's orders."""

    counts: StoreCounts = field(default_factory=StoreCounts)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    """Orders that the database rejected, or that were not stored within `give_up_after`."""
    order_flags: bytearray = field(default_factory=bytearray)
    """1 for each rejected order, 0 for each stored one, for the circuit breaker."""
    is_store_available: bool | None = None

    def add_stored(self, counts: StoreCounts) -> None:
        if any(counts):  # otherwise the store was not called, because every partition was revoked
            self.is_store_available = True
        self.counts += counts
        self.order_flags.extend(bytes(counts.new + counts.replaced))

    def add_rejected(self, dead_letter: DeadLetter, *, counts_for_breaker: bool) -> None:
        self.is_store_available = True
        self.dead_letters.append(dead_letter)
        if counts_for_breaker:
            self.order_flags.append(1)

    def add_given_up(self, dead_letters: Iterable[DeadLetter]) -> None:
        self.is_store_available = False
        self.dead_letters.extend(dead_letters)


class _Retried(NamedTuple, Generic[_Result]):
    """The result of a call, after any retries."""

    result: _Result | None
    """None if the last attempt failed."""
    attempts: int
    error: BaseException | None
    """The last one; None if the first attempt succeeded."""


class Ingest:
    """Belongs to the writing thread. Only `is_waiting_to_retry` may be read by any thread."""

    def __init__(
        self,
        *,
        store: OrderStore,
        dead_letters: DeadLetters,
        breaker: CircuitBreaker,
        backoff: Backoff,
        stop: ShutdownEvent,
        observer: RetryObserver,
        middleware: BatchMiddleware = no_middleware,
    ) -> None:
        self._store = store
        self._dead_letters = dead_letters
        self._breaker = breaker
        self._observer = observer
        # Created once: each is a reference cycle, and the garbage collector runs rarely.
        self._store_retrying = retrying(backoff, stop, _is_unavailable, self._before_retry, _may_give_up)
        forever = replace(backoff, give_up_after=None)
        self._send_retrying = retrying(forever, stop, _is_unsent, self._before_retry)
        self._write = middleware(self._ingest)
        self.is_waiting_to_retry = Event()

    def __call__(self, batch: Batch) -> Outcome:
        """Block until the batch is written, or held back. Raises Stopped."""
        return self._write(batch)

    def _ingest(self, batch: Batch) -> Outcome:
        result = self._store_all(batch)
        decision, problem = self._evaluate(batch, result.order_flags)
        outcome = Outcome(
            result.counts,
            decision=decision,
            breaker=self._breaker.state,
            problem=problem,
            is_store_available=result.is_store_available,
        )
        if decision is not Decision.COMMIT:
            return outcome
        dead_letters = batch.owned([*batch.dead_letters, *result.dead_letters])
        return outcome._replace(dead_letters=dead_letters, is_committed=self._send_and_commit(dead_letters, batch))

    def _store_all(self, batch: Batch) -> _StoreResult:
        """Store in one transaction. If the database rejects it, split it until each rejected order is on its own.

        Raises any other StorageError, so that no offset is committed.
        """
        result = _StoreResult()
        pending = deque([list(batch.orders)] if batch.orders else [])  # a copy: the reading thread counts the batch
        while pending:
            orders = pending.popleft()
            counts, attempts, error = self._store_at_once(orders, batch)
            if counts is not None:
                result.add_stored(counts)
            elif isinstance(error, OrderRejected) and len(orders) > 1:
                pending.extendleft(reversed(split_around(orders, error.index)))
            elif isinstance(error, OrderRejected):
                is_probed = batch.is_already_probed(orders[0])
                result.add_rejected(_dead_letter(orders[0], error, attempts), counts_for_breaker=not is_probed)
            elif isinstance(error, StatementTimedOut):
                self._observer.on_retry(error, attempts, 0)
                pending.extendleft(reversed(split_in_half(orders)))
            elif isinstance(error, StorageUnavailable):
                self._observer.on_give_up(error)
                result.add_given_up(_dead_letter(order, error, attempts) for order in orders)
            elif error is not None:
                raise error
        return result

    def _store_at_once(self, orders: list[ConsumedOrder], batch: Batch) -> _Retried[StoreCounts]:
        """Retry until stored. The error is OrderRejected, StatementTimedOut (several orders) or StorageUnavailable."""

        def attempt() -> StoreCounts:
            orders[:] = batch.owned(orders)  # in place: after an error the caller splits what is left
            try:
                return self._store.store([order.versioned for order in orders]) if orders else StoreCounts()
            except StatementTimedOut as error:
                if len(orders) > 1:
                    raise
                raise StorageUnavailable(error.problem, sqlstate=error.sqlstate) from error

        return self._retry(self._store_retrying, attempt)

    def _evaluate(self, batch: Batch, order_flags: bytearray) -> tuple[Decision, str]:
        """Return the decision on the offsets, and the problem if the batch is held back."""
        is_probe = self._breaker.state is BreakerState.OPEN_FOR_ORDERS
        problem = self._breaker.evaluate_orders(order_flags)
        if not problem and is_probe:
            return Decision.REREAD, ""
        problem = problem or self._breaker.evaluate_messages(batch.message_flags)
        return (Decision.HOLD_BACK, problem) if problem else (Decision.COMMIT, "")

    def _send_and_commit(self, dead_letters: Sequence[DeadLetter], batch: Batch) -> bool:
        """Retry until every dead letter is acknowledged; return whether the offsets were committed with them.

        Those of partitions that are revoked meanwhile are left to the next owner.
        """
        unsent = dead_letters

        def attempt() -> bool:
            nonlocal unsent
            unsent = batch.owned([*unsent])
            try:
                return self._dead_letters.send_and_commit(batch, unsent)
            except DeadLettersUnavailable as error:
                unsent = error.unsent
                raise

        return bool(self._retry(self._send_retrying, attempt).result)

    def _retry(self, retrying: Retrying, attempt: Callable[[], _Result]) -> _Retried[_Result]:
        """Call until it succeeds, or fails with a StorageError that is not retried. Raises any other such error."""
        attempts, error = 0, None
        try:
            for trial in retrying:
                attempts = trial.retry_state.attempt_number
                self.is_waiting_to_retry.clear()
                with trial:
                    result = attempt()
                error = _error_of(trial.retry_state) or error
        except StorageError as final:
            return _Retried(None, attempts, final)
        if error:
            self._observer.on_recovery(error)
        return _Retried(result, attempts, error)

    def _before_retry(self, state: RetryCallState) -> None:
        self.is_waiting_to_retry.set()
        error = _error_of(state)
        wait = state.next_action.sleep if state.next_action else 0
        if error:
            self._observer.on_retry(error, state.attempt_number, wait)


def _dead_letter(order: ConsumedOrder, error: StorageError, attempts: int) -> DeadLetter:
    where = f" at {error.where}" if isinstance(error, OrderRejected) and error.where else ""
    return DeadLetter(order.record, Reason.REJECTED, f"{error}{where}", attempts)


def _error_of(state: RetryCallState) -> BaseException | None:
    """Return the error of the attempt; None if it succeeded."""
    return state.outcome.exception() if state.outcome else None


def _is_unavailable(error: BaseException) -> bool:
    return isinstance(error, StorageUnavailable)


def _may_give_up(state: RetryCallState) -> bool:
    return not isinstance(_error_of(state), ConcurrentChange)


def _is_unsent(error: BaseException) -> bool:
    return isinstance(error, DeadLettersUnavailable)


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

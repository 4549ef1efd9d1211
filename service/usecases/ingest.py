"""Writes a batch: orders to the store, dead letters to their topic. Retries both until they succeed.

Before, it decodes the records whose schemas were not loaded, and waits for the schema registry as for the store.

The outcome says whether the batch's offsets may be committed. If Ingest raises, they must not be.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from threading import Event

from service.entities.dead_letter import DeadLetter
from service.errors import DeadLettersUnavailable, RegistryUnavailable
from service.pkg.backoff import Backoff
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.batch import Batch
from service.usecases.circuit_breaker import CircuitBreaker
from service.usecases.outcome import Decision, Outcome
from service.usecases.ports.ingest import DeadLetters, OrderStore, RetryObserver
from service.usecases.retrier import Retrier
from service.usecases.store_batch import StoreBatch

DecodeUndecoded = Callable[[Batch], None]
"""Decodes the undecoded records of a batch, up to the first one whose schema is not loaded; then loads it.

Blocks for the registry's timeout. Raises RegistryUnavailable.
"""
Write = Callable[[Batch], Outcome]
BatchMiddleware = Callable[[Write], Write]
"""Wraps the function that writes a batch, for example to trace it."""


def no_middleware(write: Write) -> Write:
    return write


def refuse_undecoded(batch: Batch) -> None:
    """Raise ValueError: without a schema registry, no batch has undecoded records."""
    raise ValueError(f"{len(batch.undecoded)} records are undecoded")


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
        decode: DecodeUndecoded = refuse_undecoded,
        middleware: BatchMiddleware = no_middleware,
    ) -> None:
        self._decode = decode
        self._dead_letters = dead_letters
        self._breaker = breaker
        self.is_waiting_to_retry = Event()
        self._store_batch = StoreBatch(store, backoff, stop, observer, self.is_waiting_to_retry)
        forever = replace(backoff, give_up_after=None)
        self._send_retrier = Retrier(forever, stop, observer, self.is_waiting_to_retry, is_transient=_is_unsent)
        self._decode_retrier = Retrier(
            forever, stop, observer, self.is_waiting_to_retry, is_transient=_is_registry_unavailable
        )
        self._write = middleware(self._ingest)

    def __call__(self, batch: Batch) -> Outcome:
        """Block until the batch is written, or held back. Raises Stopped."""
        return self._write(batch)

    def _ingest(self, batch: Batch) -> Outcome:
        self._decode_all(batch)
        result = self._store_batch(batch)
        decision, problem = self._evaluate(batch, result.order_flags)
        outcome = Outcome(
            result.counts, decision=decision, breaker=self._breaker.state, problem=problem, store=result.store
        )
        if decision is not Decision.COMMIT:
            return outcome
        dead_letters = batch.owned([*batch.dead_letters, *result.dead_letters])
        return outcome._replace(dead_letters=dead_letters, is_committed=self._send_and_commit(dead_letters, batch))

    def _decode_all(self, batch: Batch) -> None:
        """Decode the records whose schemas were not loaded. Each schema has retries of its own."""
        while batch.undecoded:
            self._decode_retrier.call(partial(self._decode, batch))

    def _evaluate(self, batch: Batch, order_flags: bytearray) -> tuple[Decision, str]:
        """Return the decision on the offsets, and the problem if the batch is held back."""
        is_probe = self._breaker.state.is_for_orders
        problem = self._breaker.evaluate_orders(order_flags, starts_over=batch.starts_over)
        if not problem and is_probe:
            return Decision.REREAD, ""
        problem = problem or self._breaker.evaluate_messages(batch.message_flags)
        return (Decision.HOLD_BACK, problem) if problem else (Decision.COMMIT, "")

    def _send_and_commit(self, dead_letters: Sequence[DeadLetter], batch: Batch) -> bool:
        """Retry until every dead letter is acknowledged; return whether the offsets were committed with them.

        The next owner of a partition that is revoked meanwhile sends the dead letters of that partition.
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

        return self._send_retrier.call(attempt)


def _is_registry_unavailable(error: BaseException) -> bool:
    return isinstance(error, RegistryUnavailable)


def _is_unsent(error: BaseException) -> bool:
    return isinstance(error, DeadLettersUnavailable)

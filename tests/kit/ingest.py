"""Ingest with fakes around it, and batches for it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from service.entities.dead_letter import DeadLetter, Reason
from service.errors import StatementTimedOut, StorageUnavailable
from service.pkg.backoff import Backoff
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.batch import Batch, ConsumedOrder
from service.usecases.circuit_breaker import BreakerState, CircuitBreaker
from service.usecases.ingest import DecodeUndecoded, Ingest, refuse_undecoded
from service.usecases.outcome import Decision, Outcome
from service.usecases.ports.ingest import CircuitBreakerPolicy
from tests.kit.factories import record, versioned
from tests.kit.fakes import POISON, FakeDeadLetters, FakeStore
from tests.kit.policies import circuit_breaker_policy, retry_backoff

SOON = retry_backoff(initial_backoff=0.001, max_backoff=0.001)


@dataclass
class Setup:
    """Ingest with fakes around it, and the observer of its retries; `before_retry` is called before each of them."""

    store: FakeStore = field(default_factory=FakeStore)
    dead_letters: FakeDeadLetters = field(default_factory=FakeDeadLetters)
    backoff: Backoff = SOON
    policy: CircuitBreakerPolicy = field(default_factory=circuit_breaker_policy)
    before_retry: Callable[[], None] = lambda: None
    retried: list[tuple[str, int]] = field(default_factory=list)
    recovered: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    was_waiting_to_retry: list[bool] = field(default_factory=list)
    stop: ShutdownEvent = field(default_factory=ShutdownEvent)
    decode: DecodeUndecoded = refuse_undecoded

    def __post_init__(self) -> None:
        self.breaker = CircuitBreaker(self.policy)
        self.ingest = Ingest(
            store=self.store,
            dead_letters=self.dead_letters,
            breaker=self.breaker,
            backoff=self.backoff,
            stop=self.stop,
            observer=self,
            decode=self.decode,
        )

    def on_retry(self, error: BaseException, attempts: int, wait_seconds: float) -> None:
        assert 0 <= wait_seconds <= self.backoff.max_backoff
        self.retried.append((type(error).__name__, attempts))
        self.was_waiting_to_retry.append(self.ingest.is_waiting_to_retry.is_set())
        self.before_retry()

    def on_recovery(self, error: BaseException) -> None:
        self.recovered.append(type(error).__name__)

    def on_give_up(self, error: StorageUnavailable) -> None:
        self.given_up.append(error.sqlstate)


def held_back(outcome: Outcome) -> str:
    """Return why the batch was held back; verify that nothing of it is committed."""
    assert (outcome.decision, outcome.dead_letters, outcome.is_committed) == (Decision.HOLD_BACK, (), False)
    assert outcome.breaker in {*BreakerState} - {BreakerState.CLOSED}
    return outcome.problem


def batch_of(count: int, *, poison: tuple[int, ...] = (), bad: int = 0, partitions: int = 1) -> Batch:
    """Return a batch of `count` orders and `bad` messages. The store rejects the orders at the indexes `poison`."""
    batch = Batch()
    for offset in range(count):
        partition = offset % partitions
        customer = POISON if offset in poison else "test"
        order = versioned(offset, partition=partition, order_uid=f"order-{offset}", customer_id=customer)
        consumed = ConsumedOrder(order, record(offset, partition=partition))
        batch.track(consumed.record)
        batch.add_order(consumed)
    for offset in range(count, count + bad):
        rejected = record(offset, partition=offset % partitions)
        batch.track(rejected)
        batch.add_dead_letter(DeadLetter(rejected, Reason.INVALID, "sm_id: is missing"))
    return batch


def unavailable(times: int) -> list[StorageUnavailable | StatementTimedOut]:
    return [StorageUnavailable("unreachable", sqlstate="57P01") for _ in range(times)]

import gc
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from service.entities.dead_letter import DeadLetter, Reason
from service.errors import ConcurrentChange, StatementTimedOut, Stopped, StorageUnavailable
from service.pkg.retry import Backoff
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.batch import Batch, ConsumedOrder
from service.usecases.circuit_breaker import BreakerState, CircuitBreaker, CircuitBreakerPolicy
from service.usecases.ingest import Decision, Ingest, Outcome, split_around
from service.usecases.ports import Stored
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

    def __post_init__(self) -> None:
        self.breaker = CircuitBreaker(self.policy)
        self.ingest = Ingest(self.store, self.dead_letters, self.breaker, self.backoff, self.stop, self)

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
    """Return why a batch was held back, of which nothing may be committed."""
    assert (outcome.decision, outcome.dead_letters, outcome.is_committed) == (Decision.PAUSE, (), False)
    assert outcome.breaker is not BreakerState.CLOSED
    return outcome.problem


def batch_of(count: int, *, poison: tuple[int, ...] = (), bad: int = 0, partitions: int = 1) -> Batch:
    """Return a batch of `count` orders, of which the store rejects those at `poison`, and of `bad` messages."""
    batch = Batch()
    for offset in range(count):
        partition = offset % partitions
        customer = POISON if offset in poison else "test"
        order = versioned(offset, partition=partition, order_uid=f"order-{offset}", customer_id=customer)
        batch.track(partition, offset, timestamp_ms=1_000, size=10)
        batch.add_order(ConsumedOrder(order, record(offset, partition=partition)))
    for offset in range(count, count + bad):
        batch.track(0, offset, timestamp_ms=1_000, size=10)
        batch.add_dead_letter(DeadLetter(record(offset), Reason.INVALID, "sm_id: is missing"))
    return batch


def unavailable(times: int) -> list[StorageUnavailable | StatementTimedOut]:
    return [StorageUnavailable("unreachable", sqlstate="57P01") for _ in range(times)]


def too_slow(times: int) -> list[StorageUnavailable | StatementTimedOut]:
    return [StatementTimedOut("slow", sqlstate="57014") for _ in range(times)]


# Memory


class ObservedHeaders(list[tuple[str, bytes | None]]):
    """Headers of a record, which, unlike the record, can be weakly referenced."""


def test_a_finished_batch_is_freed_without_the_garbage_collector() -> None:
    setup, batch, headers = Setup(), batch_of(1), ObservedHeaders()
    batch.orders[0] = batch.orders[0]._replace(record=record()._replace(headers=headers))
    reference = weakref.ref(headers)
    gc.collect()
    gc.disable()
    try:
        setup.ingest(batch)
        del batch, headers
        assert reference() is None
    finally:
        gc.enable()


# Good orders


def test_a_batch_is_stored_in_one_call() -> None:
    setup = Setup()
    assert setup.ingest(batch_of(100)).stored == Stored(new=100)
    assert setup.store.calls == [100]
    assert (setup.retried, setup.recovered, setup.given_up) == ([], [], [])


def test_a_batch_without_orders_does_not_call_the_store() -> None:
    setup = Setup()
    outcome = setup.ingest(batch_of(0, bad=3))
    assert (outcome.stored, setup.store.calls) == (Stored(), [])
    assert setup.dead_letters.sent == outcome.dead_letters
    assert len(outcome.dead_letters) == 3


def test_a_batch_without_bad_messages_sends_nothing() -> None:
    setup = Setup()
    setup.dead_letters.refusals = 1
    assert setup.ingest(batch_of(3)).dead_letters == []
    assert setup.retried == []


# Orders that the store rejects


@pytest.mark.parametrize("reports_index", [True, False])
def test_only_the_poison_order_is_dead_lettered(reports_index: bool) -> None:  # noqa: FBT001
    setup = Setup(FakeStore(reports_index=reports_index))
    outcome = setup.ingest(batch_of(100, poison=(42,)))
    assert outcome.stored == Stored(new=99)
    (dead_letter,) = setup.dead_letters.sent
    assert (dead_letter.record.offset, dead_letter.reason, dead_letter.attempts) == (42, Reason.REJECTED, 1)
    assert dead_letter.detail == "rejected (SQLSTATE 23514) at orders no_poison"


@pytest.mark.parametrize("reports_index", [True, False])
def test_only_fifty_poison_orders_of_two_thousand_are_dead_lettered(reports_index: bool) -> None:  # noqa: FBT001
    poison = tuple(range(7, 2_000, 40))
    setup = Setup(FakeStore(reports_index=reports_index))
    outcome = setup.ingest(batch_of(2_000, poison=poison))
    assert outcome.stored == Stored(new=1_950)
    assert {dead_letter.record.offset for dead_letter in setup.dead_letters.sent} == set(poison)
    assert len(setup.store.calls) < (300 if reports_index else 800)
    assert sum(setup.store.calls) < 30_000


def test_parts_of_a_split_batch_keep_their_order() -> None:
    setup = Setup(FakeStore(reports_index=False))
    setup.ingest(batch_of(16, poison=(5,)))
    stored = [found.source.offset for found in setup.store.orders.values()]
    assert stored == [offset for offset in range(16) if offset != 5]


def test_a_rejected_part_is_split_around_the_rejected_order() -> None:
    orders = batch_of(10).orders
    pieces = split_around(orders, 3)
    assert [order for piece in pieces for order in piece] == orders
    assert [len(piece) for piece in pieces] == [3, 1, 3, 3]
    assert [len(piece) for piece in split_around(orders, None)] == [5, 5]
    assert [len(piece) for piece in split_around(orders[:2], 0)] == [1, 1]
    assert [len(piece) for piece in split_around(orders[:2], 1)] == [1, 1]


def test_if_every_order_is_rejected_nothing_is_dead_lettered() -> None:
    setup = Setup()
    assert "PostgreSQL rejected the last 20 orders" in held_back(
        setup.ingest(batch_of(20, poison=tuple(range(20)), bad=2))
    )
    assert setup.dead_letters.sent == []
    assert setup.breaker.is_open


def test_a_few_rejected_orders_are_dead_lettered() -> None:
    setup = Setup()
    assert len(setup.ingest(batch_of(9, poison=tuple(range(9)))).dead_letters) == 9
    assert not setup.breaker.is_open


def test_rejected_orders_are_counted_across_batches() -> None:
    setup, batches = Setup(), [batch_of(1, poison=(0,)) for _ in range(10)]
    for batch in batches[:9]:
        setup.ingest(batch)
    assert "PostgreSQL rejected the last 10 orders" in held_back(setup.ingest(batches[9]))
    assert len(setup.dead_letters.sent) == 9


def test_probed_orders_are_not_dead_lettered_while_orders_are_held_back() -> None:
    setup = rejecting()
    for batch in (batch_of(10, poison=tuple(range(10)), bad=3), batch_of(0, bad=3)):
        assert held_back(setup.ingest(batch))
    assert setup.ingest(batch_of(10, poison=tuple(range(9)), bad=3)).decision is Decision.REREAD
    assert (len(setup.store.orders), setup.dead_letters.sent) == (1, [])
    assert not setup.breaker.is_open


def test_orders_that_a_probe_found_at_fault_are_dead_lettered() -> None:
    setup = rejecting()
    assert setup.ingest(batch_of(1)).decision is Decision.REREAD
    again = batch_of(20, poison=tuple(range(20)))
    again.probed_offsets = {0: 12}
    assert len(setup.ingest(again).dead_letters) == 20
    assert "PostgreSQL rejected the last 10 orders" in held_back(setup.ingest(batch_of(2, poison=(0, 1))))


def rejecting() -> Setup:
    setup = Setup()
    assert held_back(setup.ingest(batch_of(20, poison=tuple(range(20)))))
    return setup


# An unreachable store


def test_a_temporary_error_is_retried_until_it_succeeds() -> None:
    setup = Setup()
    setup.store.failures += unavailable(5)
    assert setup.ingest(batch_of(10)).stored == Stored(new=10)
    assert setup.retried == [("StorageUnavailable", attempt) for attempt in (1, 2, 3, 4, 5)]
    assert (setup.recovered, setup.given_up) == (["StorageUnavailable"], [])
    assert setup.dead_letters.sent == []


def test_waiting_to_retry_is_visible_until_the_next_attempt() -> None:
    setup = Setup()
    setup.store.failures += unavailable(2)
    setup.ingest(batch_of(1))
    assert setup.was_waiting_to_retry == [True, True]
    assert not setup.ingest.is_waiting_to_retry.is_set()


def test_shutdown_ends_the_wait_and_nothing_is_sent() -> None:
    setup = Setup(backoff=retry_backoff(initial_backoff=60, max_backoff=60))
    setup.before_retry = setup.stop.set
    setup.store.failures += unavailable(1)
    with pytest.raises(Stopped):
        setup.ingest(batch_of(10, bad=1))
    assert (setup.store.orders, setup.dead_letters.sent) == ({}, [])


def test_a_batch_that_is_given_up_is_dead_lettered_as_a_whole() -> None:
    setup = Setup(backoff=retry_backoff(initial_backoff=0.001, max_backoff=0.001, give_up_after=0.02))
    setup.store.failures += unavailable(10_000)
    outcome = setup.ingest(batch_of(20))
    assert (outcome.stored, len(outcome.dead_letters)) == (Stored(), 20)
    assert {dead_letter.reason for dead_letter in setup.dead_letters.sent} == {Reason.REJECTED}
    assert {dead_letter.detail for dead_letter in setup.dead_letters.sent} == {"unreachable (SQLSTATE 57P01)"}
    assert setup.dead_letters.sent[0].attempts == len(setup.retried) + 1 > 1
    assert (setup.recovered, setup.given_up) == ([], ["57P01"])
    assert not setup.breaker.is_open


@pytest.mark.parametrize("give_up_after", [0, 0.02])
def test_after_a_give_up_the_store_is_not_reported_as_available(give_up_after: float) -> None:
    setup = Setup(backoff=retry_backoff(initial_backoff=0.001, max_backoff=0.001, give_up_after=give_up_after))
    setup.store.failures += unavailable(10_000)
    assert setup.ingest(batch_of(20)).is_store_available is False
    setup.store.failures.clear()
    assert setup.ingest(batch_of(20)).is_store_available is True


def test_a_store_that_rejects_an_order_is_available() -> None:
    setup = Setup()
    setup.store.failures += unavailable(1)
    assert setup.ingest(batch_of(1, poison=(0,))).is_store_available is True


def test_a_batch_that_does_not_call_the_store_does_not_say_whether_it_is_available() -> None:
    setup = Setup()
    revoked = batch_of(2)
    revoked.drop(frozenset({0}))
    assert [setup.ingest(batch).is_store_available for batch in (batch_of(0, bad=3), revoked)] == [None, None]


def test_a_lost_race_is_never_given_up() -> None:
    setup = Setup(backoff=retry_backoff(initial_backoff=0.001, max_backoff=0.001, give_up_after=0))
    setup.store.failures += [ConcurrentChange("another writer was first", sqlstate="40P01") for _ in range(3)]
    outcome = setup.ingest(batch_of(20))
    assert (outcome.stored, outcome.dead_letters) == (Stored(new=20), [])
    assert setup.retried == [("ConcurrentChange", attempt) for attempt in (1, 2, 3)]
    assert (setup.recovered, setup.given_up) == (["ConcurrentChange"], [])


def test_an_outage_after_a_lost_race_is_given_up() -> None:
    setup = Setup(backoff=retry_backoff(initial_backoff=0.001, max_backoff=0.001, give_up_after=0))
    setup.store.failures += [ConcurrentChange("another writer was first", sqlstate="40P01"), *unavailable(1)]
    assert len(setup.ingest(batch_of(20)).dead_letters) == 20
    assert setup.given_up == ["57P01"]


def test_a_batch_that_times_out_is_halved_at_once() -> None:
    setup = Setup()
    setup.store.failures += too_slow(1)
    assert setup.ingest(batch_of(100)).stored == Stored(new=100)
    assert setup.store.calls == [100, 50, 50]
    assert setup.retried == [("StatementTimedOut", 1)]


def test_a_single_order_that_times_out_is_retried() -> None:
    setup = Setup()
    setup.store.failures += too_slow(3)
    assert setup.ingest(batch_of(2)).stored == Stored(new=2)
    assert setup.store.calls == [2, 1, 1, 1, 1]
    assert setup.retried == [("StatementTimedOut", 1), ("StorageUnavailable", 1), ("StorageUnavailable", 2)]


def test_an_unexpected_error_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = Setup()
    monkeypatch.setattr(setup.store, "store", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        setup.ingest(batch_of(1, bad=1))
    assert setup.dead_letters.sent == []


# Dead letters


def test_dead_letters_go_out_after_the_orders_are_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = Setup()
    stored_first: list[int] = []
    monkeypatch.setattr(setup.dead_letters, "send_and_commit", lambda *_: stored_first.append(len(setup.store.orders)))
    setup.ingest(batch_of(10, bad=1))
    assert stored_first == [10]


def test_a_transactional_producer_gets_every_batch() -> None:
    setup = Setup(dead_letters=FakeDeadLetters(commits=True))
    assert setup.ingest(batch_of(10)).is_committed
    assert setup.ingest(batch_of(0, bad=3)).is_committed
    assert setup.dead_letters.committed == [{0: 10}, {0: 3}]


def test_without_transactions_the_reading_thread_commits() -> None:
    assert not Setup().ingest(batch_of(10, bad=1)).is_committed


def test_only_unacknowledged_dead_letters_are_sent_again() -> None:
    setup = Setup()
    setup.dead_letters.refusals = 3
    batch = batch_of(0, bad=10)
    assert setup.ingest(batch).dead_letters == batch.dead_letters
    assert setup.dead_letters.sent == batch.dead_letters
    assert setup.retried == [("DeadLettersUnavailable", attempt) for attempt in (1, 2, 3)]
    assert setup.recovered == ["DeadLettersUnavailable"]
    assert setup.was_waiting_to_retry == [True] * 3


def test_dead_letters_are_retried_without_limit() -> None:
    setup = Setup(backoff=retry_backoff(initial_backoff=0.001, max_backoff=0.001, give_up_after=0))
    setup.dead_letters.refusals = 50
    assert len(setup.ingest(batch_of(0, bad=60)).dead_letters) == 60


def test_shutdown_ends_the_wait_for_the_dead_letter_topic() -> None:
    setup = Setup(backoff=retry_backoff(initial_backoff=60, max_backoff=60))
    setup.before_retry = setup.stop.set
    setup.dead_letters.refusals = 1
    with pytest.raises(Stopped):
        setup.ingest(batch_of(1, bad=2))


def test_bad_messages_open_the_circuit_breaker_before_they_are_sent() -> None:
    setup = Setup(policy=circuit_breaker_policy(max_consecutive=5))
    assert "5 consecutive messages are bad" in held_back(setup.ingest(batch_of(3, bad=5)))
    assert setup.dead_letters.sent == []
    assert len(setup.store.orders) == 3


def test_bad_probed_messages_are_dead_lettered() -> None:
    setup = Setup(policy=circuit_breaker_policy(max_consecutive=5))
    assert held_back(setup.ingest(batch_of(0, bad=5)))
    assert len(setup.ingest(batch_of(1, bad=2)).dead_letters) == 2
    assert setup.breaker.is_open
    setup.ingest(batch_of(3, bad=2))
    assert not setup.breaker.is_open


def test_redelivered_orders_do_not_hide_that_every_new_one_is_rejected() -> None:
    setup = Setup(policy=circuit_breaker_policy(min_rejected=2))
    setup.ingest(batch_of(10))
    assert "PostgreSQL rejected the last 2 orders" in held_back(setup.ingest(batch_of(12, poison=(10, 11))))


def test_rejected_orders_are_not_bad_messages() -> None:
    setup = Setup(policy=circuit_breaker_policy(max_consecutive=2, window=20, min_rejected=1_000))
    assert len(setup.ingest(batch_of(10, poison=tuple(range(10)))).dead_letters) == 10


# Partitions that are revoked meanwhile


def test_orders_of_a_revoked_partition_are_not_retried() -> None:
    setup = Setup()
    batch = batch_of(10, partitions=2)
    setup.store.failures += unavailable(1)
    setup.before_retry = lambda: batch.drop(frozenset({1}))
    assert setup.ingest(batch).stored == Stored(new=5)
    assert {found.source.partition for found in setup.store.orders.values()} == {0}


def test_dead_letters_of_a_revoked_partition_are_not_sent() -> None:
    setup = Setup()
    batch = batch_of(10, poison=(1,), partitions=2)
    batch.drop(frozenset({1}))
    assert setup.ingest(batch).dead_letters == []


def test_a_batch_without_partitions_stops_retrying() -> None:
    setup = Setup()
    batch = batch_of(10)
    setup.store.failures += unavailable(1)
    setup.before_retry = lambda: batch.drop(frozenset({0}))
    assert setup.ingest(batch).stored == Stored()
    assert setup.store.calls == [10]

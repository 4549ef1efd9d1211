"""What becomes of a batch, whatever the database and the dead-letter topic say meanwhile."""

import gc
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from service.entities.dead_letter import DeadLetter, Reason
from service.entities.errors import StatementTimedOut, StorageUnavailable
from service.pkg.retry import Backoff
from service.pkg.shutdown_event import ShutdownEvent, Stopped
from service.usecases.batch import Batch, Entry
from service.usecases.circuit_breaker import CircuitBreaker, CircuitBreakerPolicy, State
from service.usecases.ingest import Decision, Ingest, Outcome, split_around
from service.usecases.ports import Stored
from tests.factories import versioned
from tests.fakes import POISON, FakeDeadLetters, FakeStore

SOON = Backoff(initial_backoff=0.001, max_backoff=0.001)


@dataclass
class Bench:
    """Ingest with fakes around it, and the observer of its retries; `before_retry` is called before each of them."""

    store: FakeStore = field(default_factory=FakeStore)
    dead_letters: FakeDeadLetters = field(default_factory=FakeDeadLetters)
    backoff: Backoff = SOON
    policy: CircuitBreakerPolicy = field(default_factory=CircuitBreakerPolicy)
    before_retry: Callable[[], None] = lambda: None
    retried: list[tuple[str, int]] = field(default_factory=list)
    recovered: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    is_writing_while_waiting: list[bool] = field(default_factory=list)
    stop: ShutdownEvent = field(default_factory=ShutdownEvent)

    def __post_init__(self) -> None:
        self.breaker = CircuitBreaker(self.policy)
        self.ingest = Ingest(self.store, self.dead_letters, self.breaker, self.backoff, self.stop, self)

    def on_retry(self, error: BaseException, attempts: int, wait_seconds: float) -> None:
        assert 0 <= wait_seconds <= self.backoff.max_backoff
        self.retried.append((type(error).__name__, attempts))
        self.is_writing_while_waiting.append(self.ingest.is_writing.is_set())
        self.before_retry()

    def on_recovery(self, error: BaseException) -> None:
        self.recovered.append(type(error).__name__)

    def on_give_up(self, error: StorageUnavailable) -> None:
        self.given_up.append(error.sqlstate)


def held_back(outcome: Outcome) -> str:
    """Return why a batch was held back, of which nothing may be committed."""
    assert (outcome.decision, outcome.dead_letters, outcome.is_committed) == (Decision.HOLD_BACK, (), False)
    assert outcome.breaker is not State.CLOSED
    return outcome.problem


def batch_of(count: int, *, poison: tuple[int, ...] = (), bad: int = 0, partitions: int = 1) -> Batch:
    """Return a batch of `count` orders, those at `poison` refused by the store, and of `bad` rejected messages."""
    batch = Batch()
    for offset in range(count):
        partition = offset % partitions
        customer = POISON if offset in poison else "test"
        order = versioned(offset, partition=partition, order_uid=f"order-{offset}", customer_id=customer)
        batch.track(partition, offset, timestamp_ms=1_000, size=10)
        batch.add(Entry(order, offset, partition, offset))
    for offset in range(count, count + bad):
        batch.track(0, offset, timestamp_ms=1_000, size=10)
        batch.reject(DeadLetter(offset, 0, Reason.INVALID, "sm_id: is missing"))
    return batch


def unavailable(times: int) -> list[StorageUnavailable | StatementTimedOut]:
    return [StorageUnavailable("away", sqlstate="57P01") for _ in range(times)]


def too_slow(times: int) -> list[StorageUnavailable | StatementTimedOut]:
    return [StatementTimedOut("slow", sqlstate="57014") for _ in range(times)]


# Memory


class Message:
    """Whoever still refers to it holds all that it carries."""


def test_a_batch_that_is_done_is_let_go_without_the_garbage_collector() -> None:
    bench, batch, message = Bench(), batch_of(1), Message()
    batch.entries[0] = batch.entries[0]._replace(message=message)
    carried = weakref.ref(message)
    gc.collect()
    gc.disable()
    try:
        bench.ingest(batch)
        del batch, message
        assert carried() is None
    finally:
        gc.enable()


# Good orders


def test_a_batch_is_stored_in_one_call() -> None:
    bench = Bench()
    assert bench.ingest(batch_of(100)).stored == Stored(new=100)
    assert bench.store.calls == [100]
    assert (bench.retried, bench.recovered, bench.given_up) == ([], [], [])


def test_a_batch_without_orders_asks_nothing_of_the_store() -> None:
    bench = Bench()
    outcome = bench.ingest(batch_of(0, bad=3))
    assert (outcome.stored, bench.store.calls) == (Stored(), [])
    assert bench.dead_letters.sent == outcome.dead_letters
    assert len(outcome.dead_letters) == 3


def test_nothing_is_sent_where_nothing_is_bad() -> None:
    bench = Bench()
    bench.dead_letters.refusals = 1
    assert bench.ingest(batch_of(3)).dead_letters == []
    assert bench.retried == []


# Orders that the store refuses


@pytest.mark.parametrize("says_position", [True, False])
def test_a_poison_order_costs_itself_alone(says_position: bool) -> None:  # noqa: FBT001
    bench = Bench(FakeStore(says_position=says_position))
    outcome = bench.ingest(batch_of(100, poison=(42,)))
    assert outcome.stored == Stored(new=99)
    (dead_letter,) = bench.dead_letters.sent
    assert (dead_letter.message, dead_letter.reason, dead_letter.attempts) == (42, Reason.REJECTED, 1)
    assert dead_letter.detail == "refused (SQLSTATE 23514) at orders no_poison"


@pytest.mark.parametrize("says_position", [True, False])
def test_fifty_poison_orders_of_two_thousand_cost_themselves_alone(says_position: bool) -> None:  # noqa: FBT001
    poison = tuple(range(7, 2_000, 40))
    bench = Bench(FakeStore(says_position=says_position))
    outcome = bench.ingest(batch_of(2_000, poison=poison))
    assert outcome.stored == Stored(new=1_950)
    assert {dead_letter.message for dead_letter in bench.dead_letters.sent} == set(poison)
    assert len(bench.store.calls) < (300 if says_position else 800)
    assert sum(bench.store.calls) < 30_000


def test_parts_of_a_split_batch_keep_their_order() -> None:
    bench = Bench(FakeStore(says_position=False))
    bench.ingest(batch_of(16, poison=(5,)))
    stored = [found.source.offset for found in bench.store.orders.values()]
    assert stored == [offset for offset in range(16) if offset != 5]


def test_a_refused_part_is_split_around_the_order_to_blame() -> None:
    entries = batch_of(10).entries
    pieces = split_around(entries, 3)
    assert [entry for piece in pieces for entry in piece] == entries
    assert [len(piece) for piece in pieces] == [3, 1, 3, 3]
    assert [len(piece) for piece in split_around(entries, None)] == [5, 5]
    assert [len(piece) for piece in split_around(entries[:2], 0)] == [1, 1]
    assert [len(piece) for piece in split_around(entries[:2], 1)] == [1, 1]


def test_where_every_order_is_refused_nothing_is_dead_lettered() -> None:
    bench = Bench()
    assert "PostgreSQL rejected the last 20 orders" in held_back(
        bench.ingest(batch_of(20, poison=tuple(range(20)), bad=2))
    )
    assert bench.dead_letters.sent == []
    assert bench.breaker.is_open


def test_a_few_refused_orders_alone_are_dead_lettered() -> None:
    bench = Bench()
    assert len(bench.ingest(batch_of(9, poison=tuple(range(9)))).dead_letters) == 9
    assert not bench.breaker.is_open


def test_orders_refused_one_by_one_are_as_many_as_in_one_batch() -> None:
    bench, batches = Bench(), [batch_of(1, poison=(0,)) for _ in range(10)]
    for batch in batches[:9]:
        bench.ingest(batch)
    assert "PostgreSQL rejected the last 10 orders" in held_back(bench.ingest(batches[9]))
    assert len(bench.dead_letters.sent) == 9


def test_while_orders_are_held_back_nothing_of_what_is_tried_is_dead_lettered() -> None:
    bench = refusing()
    for batch in (batch_of(10, poison=tuple(range(10)), bad=3), batch_of(0, bad=3)):
        assert held_back(bench.ingest(batch))
    assert bench.ingest(batch_of(10, poison=tuple(range(9)), bad=3)).decision is Decision.REPLAY
    assert (len(bench.store.orders), bench.dead_letters.sent) == (1, [])
    assert not bench.breaker.is_open


def test_orders_that_were_refused_while_others_were_stored_are_dead_lettered_without_more_ado() -> None:
    bench = refusing()
    assert bench.ingest(batch_of(1)).decision is Decision.REPLAY
    again = batch_of(20, poison=tuple(range(20)))
    again.probed_until = {0: 12}
    assert len(bench.ingest(again).dead_letters) == 20
    assert "PostgreSQL rejected the last 10 orders" in held_back(bench.ingest(batch_of(2, poison=(0, 1))))


def refusing() -> Bench:
    bench = Bench()
    assert held_back(bench.ingest(batch_of(20, poison=tuple(range(20)))))
    return bench


# A store that is away


def test_what_can_succeed_later_is_repeated_until_it_does() -> None:
    bench = Bench()
    bench.store.failures += unavailable(5)
    assert bench.ingest(batch_of(10)).stored == Stored(new=10)
    assert bench.retried == [("StorageUnavailable", attempt) for attempt in (1, 2, 3, 4, 5)]
    assert (bench.recovered, bench.given_up) == (["StorageUnavailable"], [])
    assert bench.dead_letters.sent == []


def test_it_is_not_writing_while_it_waits_for_the_next_attempt() -> None:
    bench = Bench()
    bench.store.failures += unavailable(2)
    bench.ingest(batch_of(1))
    assert bench.is_writing_while_waiting == [False, False]
    assert bench.ingest.is_writing.is_set()


def test_a_stop_ends_the_waiting_and_nothing_is_sent() -> None:
    bench = Bench(backoff=Backoff(initial_backoff=60, max_backoff=60))
    bench.before_retry = bench.stop.set
    bench.store.failures += unavailable(1)
    with pytest.raises(Stopped):
        bench.ingest(batch_of(10, bad=1))
    assert (bench.store.orders, bench.dead_letters.sent) == ({}, [])


def test_what_is_given_up_on_is_dead_lettered_whole() -> None:
    bench = Bench(backoff=Backoff(0.001, 0.001, give_up_after=0.02))
    bench.store.failures += unavailable(10_000)
    outcome = bench.ingest(batch_of(20))
    assert (outcome.stored, len(outcome.dead_letters)) == (Stored(), 20)
    assert {dead_letter.reason for dead_letter in bench.dead_letters.sent} == {Reason.REJECTED}
    assert {dead_letter.detail for dead_letter in bench.dead_letters.sent} == {"away (SQLSTATE 57P01)"}
    assert bench.dead_letters.sent[0].attempts == len(bench.retried) + 1 > 1
    assert (bench.recovered, bench.given_up) == ([], ["57P01"])
    assert not bench.breaker.is_open


def test_a_batch_that_takes_too_long_is_halved_at_once() -> None:
    bench = Bench()
    bench.store.failures += too_slow(1)
    assert bench.ingest(batch_of(100)).stored == Stored(new=100)
    assert bench.store.calls == [100, 50, 50]
    assert bench.retried == [("StatementTimedOut", 1)]


def test_an_order_that_takes_too_long_alone_is_repeated() -> None:
    bench = Bench()
    bench.store.failures += too_slow(3)
    assert bench.ingest(batch_of(2)).stored == Stored(new=2)
    assert bench.store.calls == [2, 1, 1, 1, 1]
    assert bench.retried == [("StatementTimedOut", 1), ("StorageUnavailable", 1), ("StorageUnavailable", 2)]


def test_an_unexpected_error_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    monkeypatch.setattr(bench.store, "store", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        bench.ingest(batch_of(1, bad=1))
    assert bench.dead_letters.sent == []


# Dead letters


def test_dead_letters_go_out_after_the_orders_are_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    stored_first: list[int] = []
    monkeypatch.setattr(bench.dead_letters, "finish", lambda *_: stored_first.append(len(bench.store.orders)))
    bench.ingest(batch_of(10, bad=1))
    assert stored_first == [10]


def test_where_dead_letters_and_offsets_are_committed_together_every_batch_is_sent_for_that() -> None:
    bench = Bench(dead_letters=FakeDeadLetters(commits=True))
    assert bench.ingest(batch_of(10)).is_committed
    assert bench.ingest(batch_of(0, bad=3)).is_committed
    assert bench.dead_letters.committed == [{0: 10}, {0: 3}]


def test_where_they_are_not_it_is_left_to_the_reading_thread() -> None:
    assert not Bench().ingest(batch_of(10, bad=1)).is_committed


def test_only_what_was_not_acknowledged_is_sent_again() -> None:
    bench = Bench()
    bench.dead_letters.refusals = 3
    batch = batch_of(0, bad=10)
    assert bench.ingest(batch).dead_letters == batch.rejected
    assert bench.dead_letters.sent == batch.rejected
    assert bench.retried == [("DeadLettersUnavailable", attempt) for attempt in (1, 2, 3)]
    assert bench.recovered == ["DeadLettersUnavailable"]
    assert bench.is_writing_while_waiting == [False] * 3


def test_dead_letters_are_never_given_up_on() -> None:
    bench = Bench(backoff=Backoff(0.001, 0.001, give_up_after=0))
    bench.dead_letters.refusals = 50
    assert len(bench.ingest(batch_of(0, bad=60)).dead_letters) == 60


def test_a_stop_ends_the_waiting_for_the_dead_letter_topic() -> None:
    bench = Bench(backoff=Backoff(initial_backoff=60, max_backoff=60))
    bench.before_retry = bench.stop.set
    bench.dead_letters.refusals = 1
    with pytest.raises(Stopped):
        bench.ingest(batch_of(1, bad=2))


def test_a_flood_of_bad_messages_opens_the_circuit_breaker_before_they_are_sent() -> None:
    bench = Bench(policy=CircuitBreakerPolicy(max_consecutive=5))
    assert "5 consecutive messages are bad" in held_back(bench.ingest(batch_of(3, bad=5)))
    assert bench.dead_letters.sent == []
    assert len(bench.store.orders) == 3


def test_what_is_tried_while_the_circuit_breaker_is_open_is_dead_lettered() -> None:
    bench = Bench(policy=CircuitBreakerPolicy(max_consecutive=5))
    assert held_back(bench.ingest(batch_of(0, bad=5)))
    assert len(bench.ingest(batch_of(1, bad=2)).dead_letters) == 2
    assert bench.breaker.is_open
    bench.ingest(batch_of(3, bad=2))
    assert not bench.breaker.is_open


def test_refused_orders_are_no_flood() -> None:
    bench = Bench(policy=CircuitBreakerPolicy(max_consecutive=2, window=20, min_rejected=1_000))
    assert len(bench.ingest(batch_of(10, poison=tuple(range(10)))).dead_letters) == 10


# Partitions that are taken away meanwhile


def test_orders_of_a_partition_that_left_are_not_stored_by_the_next_attempt() -> None:
    bench = Bench()
    batch = batch_of(10, partitions=2)
    bench.store.failures += unavailable(1)
    bench.before_retry = lambda: batch.drop(frozenset({1}))
    assert bench.ingest(batch).stored == Stored(new=5)
    assert {found.source.partition for found in bench.store.orders.values()} == {0}


def test_dead_letters_of_a_partition_that_left_are_the_next_owners() -> None:
    bench = Bench()
    batch = batch_of(10, poison=(1,), partitions=2)
    batch.drop(frozenset({1}))
    assert bench.ingest(batch).dead_letters == []


def test_an_outage_ends_for_a_batch_that_lost_all_its_partitions() -> None:
    bench = Bench()
    batch = batch_of(10)
    bench.store.failures += unavailable(1)
    bench.before_retry = lambda: batch.drop(frozenset({0}))
    assert bench.ingest(batch).stored == Stored()
    assert bench.store.calls == [10]

"""Ingest retries while PostgreSQL or the dead-letter topic is unavailable."""

import pytest

from service.entities.dead_letter import Reason
from service.errors import ConcurrentChange, StatementTimedOut, Stopped, StorageError, StorageUnavailable
from service.usecases.outcome import StoreState
from service.usecases.ports.ingest import StoreCounts
from tests.kit.ingest import Setup, batch_of, unavailable
from tests.kit.order_partitions import P0
from tests.kit.policies import retry_backoff

# PostgreSQL


def too_slow(times: int) -> list[StorageUnavailable | StatementTimedOut]:
    return [StatementTimedOut("slow", sqlstate="57014") for _ in range(times)]


def test_a_temporary_error_is_retried_until_it_succeeds() -> None:
    setup = Setup()
    setup.store.failures += unavailable(5)
    assert setup.ingest(batch_of(10)).counts == StoreCounts(new=10)
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
    assert (outcome.counts, len(outcome.dead_letters)) == (StoreCounts(), 20)
    assert {dead_letter.reason for dead_letter in setup.dead_letters.sent} == {Reason.REJECTED}
    assert {dead_letter.detail for dead_letter in setup.dead_letters.sent} == {"unreachable (SQLSTATE 57P01)"}
    assert setup.dead_letters.sent[0].attempts == len(setup.retried) + 1 > 1
    assert (setup.recovered, setup.given_up) == ([], ["57P01"])
    assert not setup.breaker.is_open


@pytest.mark.parametrize("give_up_after", [0, 0.02])
def test_after_a_give_up_the_store_is_not_reported_as_available(give_up_after: float) -> None:
    setup = Setup(backoff=retry_backoff(initial_backoff=0.001, max_backoff=0.001, give_up_after=give_up_after))
    setup.store.failures += unavailable(10_000)
    assert setup.ingest(batch_of(20)).store is StoreState.UNAVAILABLE
    setup.store.failures.clear()
    assert setup.ingest(batch_of(20)).store is StoreState.AVAILABLE


def test_an_unexpected_error_is_raised_and_nothing_is_committed() -> None:
    class Unexpected(StorageError):
        pass

    setup = Setup()
    setup.store.failures.append(Unexpected("unexpected"))
    with pytest.raises(Unexpected):
        setup.ingest(batch_of(10, bad=1))
    assert setup.dead_letters.sent == []


def test_a_store_that_rejects_an_order_is_available() -> None:
    setup = Setup()
    setup.store.failures += unavailable(1)
    assert setup.ingest(batch_of(1, poison=(0,))).store is StoreState.AVAILABLE


def test_a_batch_that_does_not_call_the_store_does_not_say_whether_it_is_available() -> None:
    setup = Setup()
    revoked = batch_of(2)
    revoked.drop(frozenset({P0}))
    assert {setup.ingest(batch).store for batch in (batch_of(0, bad=3), revoked)} == {StoreState.NOT_CALLED}


def test_a_lost_race_is_never_given_up() -> None:
    setup = Setup(backoff=retry_backoff(initial_backoff=0.001, max_backoff=0.001, give_up_after=0))
    setup.store.failures += [ConcurrentChange("another writer was first", sqlstate="40P01") for _ in range(3)]
    outcome = setup.ingest(batch_of(20))
    assert (outcome.counts, outcome.dead_letters) == (StoreCounts(new=20), [])
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
    assert setup.ingest(batch_of(100)).counts == StoreCounts(new=100)
    assert setup.store.calls == [100, 50, 50]
    assert setup.retried == [("StatementTimedOut", 1)]


def test_a_single_order_that_times_out_is_retried() -> None:
    setup = Setup()
    setup.store.failures += too_slow(3)
    assert setup.ingest(batch_of(2)).counts == StoreCounts(new=2)
    assert setup.store.calls == [2, 1, 1, 1, 1]
    assert setup.retried == [("StatementTimedOut", 1), ("StorageUnavailable", 1), ("StorageUnavailable", 2)]


def test_a_single_order_that_times_out_for_too_long_is_given_up_with_its_sqlstate() -> None:
    setup = Setup(backoff=retry_backoff(give_up_after=0))
    setup.store.failures += too_slow(1)
    outcome = setup.ingest(batch_of(1))
    assert [each.detail for each in outcome.dead_letters] == ["slow (SQLSTATE 57014)"]
    assert setup.given_up == ["57014"]


# The dead-letter topic


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

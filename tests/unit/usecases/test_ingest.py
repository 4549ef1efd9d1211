import gc
import weakref

import pytest

from service.usecases.ports.ingest import StoreCounts
from tests.kit.factories import record
from tests.kit.fakes import FakeDeadLetters
from tests.kit.ingest import Setup, batch_of, held_back, unavailable
from tests.kit.order_partitions import P0, P1
from tests.kit.policies import circuit_breaker_policy

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
    outcome = setup.ingest(batch_of(100))
    assert (outcome.counts, outcome.problem) == (StoreCounts(new=100), "")
    assert setup.store.calls == [100]
    assert (setup.retried, setup.recovered, setup.given_up) == ([], [], [])


def test_a_batch_without_orders_does_not_call_the_store() -> None:
    setup = Setup()
    outcome = setup.ingest(batch_of(0, bad=3))
    assert (outcome.counts, setup.store.calls) == (StoreCounts(), [])
    assert setup.dead_letters.sent == outcome.dead_letters
    assert len(outcome.dead_letters) == 3


def test_a_batch_without_bad_messages_sends_nothing() -> None:
    setup = Setup()
    setup.dead_letters.refusals = 1
    assert setup.ingest(batch_of(3)).dead_letters == []
    assert setup.retried == []


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
    assert setup.dead_letters.committed == [{P0: 10}, {P0: 3}]


def test_without_transactions_the_reading_thread_commits() -> None:
    assert not Setup().ingest(batch_of(10, bad=1)).is_committed


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


# Partitions that are revoked meanwhile


def test_orders_of_a_revoked_partition_are_not_retried() -> None:
    setup = Setup()
    batch = batch_of(10, partitions=2)
    setup.store.failures += unavailable(1)
    setup.before_retry = lambda: batch.drop(frozenset({P1}))
    assert setup.ingest(batch).counts == StoreCounts(new=5)
    assert {found.source.partition for found in setup.store.orders.values()} == {0}
    assert len(batch) == 10  # the batch itself stays as it was filled


def test_dead_letters_of_a_revoked_partition_are_not_sent() -> None:
    setup = Setup()
    batch = batch_of(10, poison=(1,), partitions=2)
    batch.drop(frozenset({P1}))
    assert setup.ingest(batch).dead_letters == []


def test_dead_letters_of_a_revoked_partition_are_not_sent_again() -> None:
    setup = Setup()
    setup.dead_letters.refusals = 1
    batch = batch_of(0, bad=10, partitions=2)
    setup.before_retry = lambda: batch.drop(frozenset({P1}))
    setup.ingest(batch)
    assert {each.record.partition for each in setup.dead_letters.sent[1:]} == {0}


def test_a_batch_without_partitions_stops_retrying() -> None:
    setup = Setup()
    batch = batch_of(10)
    setup.store.failures += unavailable(1)
    setup.before_retry = lambda: batch.drop(frozenset({P0}))
    assert setup.ingest(batch).counts == StoreCounts()
    assert setup.store.calls == [10]

"""Orders that PostgreSQL rejects are dead-lettered one by one, unless it rejects all of them."""

import pytest

from service.entities.dead_letter import Reason
from service.usecases.outcome import Decision
from service.usecases.ports.ingest import StoreCounts
from service.usecases.store_batch import split_around
from tests.kit.factories import versioned
from tests.kit.fakes import FakeStore
from tests.kit.ingest import Setup, batch_of, held_back
from tests.kit.order_partitions import P0
from tests.kit.policies import circuit_breaker_policy


@pytest.mark.parametrize("reports_index", [True, False])
def test_only_the_poison_order_is_dead_lettered(reports_index: bool) -> None:  # noqa: FBT001
    setup = Setup(FakeStore(reports_index=reports_index))
    outcome = setup.ingest(batch_of(100, poison=(42,)))
    assert outcome.counts == StoreCounts(new=99)
    (dead_letter,) = setup.dead_letters.sent
    assert (dead_letter.record.offset, dead_letter.reason, dead_letter.attempts) == (42, Reason.REJECTED, 1)
    assert dead_letter.detail == "rejected (SQLSTATE 23514) at orders no_poison"


@pytest.mark.parametrize("reports_index", [True, False])
def test_only_fifty_poison_orders_of_two_thousand_are_dead_lettered(reports_index: bool) -> None:  # noqa: FBT001
    poison = tuple(range(7, 2_000, 40))
    setup = Setup(FakeStore(reports_index=reports_index))
    outcome = setup.ingest(batch_of(2_000, poison=poison))
    assert outcome.counts == StoreCounts(new=1_950)
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
    assert "the database rejected the last 20 orders" in held_back(
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
    assert "the database rejected the last 10 orders" in held_back(setup.ingest(batches[9]))
    assert len(setup.dead_letters.sent) == 9


def test_redelivered_orders_do_not_hide_that_every_new_one_is_rejected() -> None:
    setup = Setup(policy=circuit_breaker_policy(min_rejected=2))
    setup.ingest(batch_of(10))
    assert "the database rejected the last 2 orders" in held_back(setup.ingest(batch_of(12, poison=(10, 11))))


def test_rejected_orders_are_not_bad_messages() -> None:
    setup = Setup(policy=circuit_breaker_policy(max_consecutive=2, window=20, min_rejected=1_000))
    assert len(setup.ingest(batch_of(10, poison=tuple(range(10)))).dead_letters) == 10


def test_probed_orders_are_not_dead_lettered_while_orders_are_held_back() -> None:
    setup = rejecting()
    for batch in (batch_of(10, poison=tuple(range(10)), bad=3), batch_of(0, bad=3)):
        assert held_back(setup.ingest(batch))
    outcome = setup.ingest(batch_of(10, poison=tuple(range(9)), bad=3))
    assert (outcome.decision, outcome.problem) == (Decision.REREAD, "")
    assert (len(setup.store.orders), setup.dead_letters.sent) == (1, [])
    assert not setup.breaker.is_open


def test_everything_is_read_again_if_the_probes_find_no_order_to_store() -> None:
    setup, probe = rejecting(), batch_of(0, bad=1)
    probe.starts_over = True
    assert setup.ingest(probe).decision is Decision.REREAD
    assert not setup.breaker.is_open


def test_a_replaced_order_shows_that_the_rejected_ones_are_at_fault() -> None:
    setup = Setup()
    setup.ingest(batch_of(1))
    for offset in (10, 11):
        batch = batch_of(6, poison=(1, 2, 3, 4, 5))
        newer = versioned(offset, order_uid="order-0", locale=f"{offset}")
        batch.orders[0] = batch.orders[0]._replace(versioned=newer)
        assert setup.ingest(batch).counts == StoreCounts(replaced=1)
    assert not setup.breaker.is_open


def test_orders_that_a_probe_found_at_fault_are_dead_lettered() -> None:
    setup = rejecting()
    assert setup.ingest(batch_of(1)).decision is Decision.REREAD
    again = batch_of(20, poison=tuple(range(20)))
    again.probed_offsets = {P0: 12}
    assert len(setup.ingest(again).dead_letters) == 20
    assert "the database rejected the last 10 orders" in held_back(setup.ingest(batch_of(2, poison=(0, 1))))


def rejecting() -> Setup:
    setup = Setup()
    assert held_back(setup.ingest(batch_of(20, poison=tuple(range(20)))))
    return setup

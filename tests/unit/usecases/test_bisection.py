"""Bisecting, with fakes. tests/integration/test_internal_errors.py has the real PostgreSQL."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from service.entities.version import VersionedOrder
from service.errors import InternalError, OrderRejected, StatementTimedOut, StorageError, StorageUnavailable
from service.usecases.bisection import BisectingStore
from service.usecases.ports.ingest import OrderStore, StoreCounts
from tests.kit.factories import versioned
from tests.kit.fakes import FakeStore

INTERNAL_ERROR = InternalError("internal error", sqlstate="XX000")


class FailingStore(FakeStore):
    """Fails with `error` if one of the orders is `faulty`."""

    def __init__(self, faulty: list[VersionedOrder] | None = None, error: StorageError = INTERNAL_ERROR) -> None:
        super().__init__()
        self.faulty = [] if faulty is None else faulty
        self.error = error

    def store(self, orders: Sequence[VersionedOrder]) -> StoreCounts:
        if any(faulty in orders for faulty in self.faulty):
            self.failures.append(self.error)
        return super().store(orders)


@dataclass
class Setup:
    """A BisectingStore whose store and trial store are `failing`. Each reading of the clock takes a second."""

    failing: FailingStore
    max_seconds: float = 1_000
    found: list[VersionedOrder | None] = field(default_factory=list)
    trials: FailingStore = field(init=False)
    open_trials: int = 0
    seconds: int = 0

    def __post_init__(self) -> None:
        self.trials = FailingStore(self.failing.faulty, self.failing.error)
        self.store = BisectingStore(
            self.failing, self.open_trial, self.found.append, max_seconds=self.max_seconds, now=self.now
        )

    @contextmanager
    def open_trial(self) -> Iterator[OrderStore]:
        self.open_trials += 1
        try:
            yield self.trials
        finally:
            self.open_trials -= 1

    def now(self) -> float:
        self.seconds += 1
        return self.seconds

    def attempt(self, orders: Sequence[VersionedOrder]) -> None:
        with pytest.raises(StorageUnavailable):
            self.store.store(orders)


def orders_of(count: int) -> list[VersionedOrder]:
    return [versioned(offset, order_uid=f"order-{offset}") for offset in range(count)]


@pytest.mark.parametrize(("count", "trials"), [(1, 1), (2, 2), (7, 4), (2_000, 12)])
def test_the_first_retry_that_fails_too_finds_the_order_in_few_trials(count: int, trials: int) -> None:
    orders = orders_of(count)
    for faulty in (*orders[:2], orders[count // 2], *orders[-2:]):
        setup = Setup(FailingStore([faulty]))
        setup.attempt(orders)
        assert (setup.found, setup.trials.calls) == ([], [])
        setup.attempt(orders)
        assert setup.found == [faulty]
        assert len(setup.trials.calls) <= trials


def test_a_batch_is_bisected_once_and_the_next_one_again() -> None:
    first, second = orders_of(8), orders_of(16)[8:]
    setup = Setup(FailingStore([first[3], second[5]]))
    for _ in range(4):
        setup.attempt(first)
    assert setup.found == [first[3]]
    for _ in range(4):
        setup.attempt(second)
    assert setup.found == [first[3], second[5]]
    assert setup.open_trials == 0


def test_once_the_cause_is_gone_the_batch_is_stored() -> None:
    orders = orders_of(8)
    setup = Setup(FailingStore([orders[3]]))
    setup.attempt(orders)
    setup.failing.faulty.clear()
    assert setup.store.store(orders) == StoreCounts(new=8)
    assert setup.found == []


def test_no_order_is_named_if_each_can_be_stored_alone() -> None:
    setup = Setup(FailingStore())
    setup.failing.failures = [INTERNAL_ERROR] * 2
    for _ in range(2):
        setup.attempt(orders_of(8))
    assert setup.found == [None]


@pytest.mark.parametrize(
    "error",
    [
        StorageUnavailable("cannot connect", sqlstate="08006"),
        StatementTimedOut("too slow", sqlstate="57014"),
        OrderRejected("rejected", sqlstate="23514"),
    ],
)
def test_another_error_ends_bisecting(error: StorageError) -> None:
    orders = orders_of(8)
    setup = Setup(FailingStore([orders[3]]))
    setup.trials.error = error
    for _ in range(2):
        setup.attempt(orders)
    assert (setup.found, setup.trials.calls, setup.open_trials) == ([None], [4], 0)


def test_no_trial_begins_after_the_time_limit() -> None:
    orders = orders_of(2_000)
    setup = Setup(FailingStore([orders[3]]), max_seconds=5)
    for _ in range(2):
        setup.attempt(orders)
    assert (setup.found, len(setup.trials.calls)) == ([None], 5)


def test_other_outages_are_not_bisected() -> None:
    orders = orders_of(8)
    setup = Setup(FailingStore([orders[3]], StorageUnavailable("cannot connect", sqlstate="08006")))
    for _ in range(3):
        setup.attempt(orders)
    assert (setup.found, setup.trials.calls) == ([], [])

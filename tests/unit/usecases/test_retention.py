"""Which orders are expired, and how fast and how long `orders prune` deletes them."""

from datetime import UTC, datetime, timedelta

import pytest

from service.errors import Stopped
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.retention import KEEP_FOREVER, RetentionPolicy, prune
from tests.kit.fakes import FakeClock, FakeExpiredOrders

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


class RecordedStop(ShutdownEvent):
    """Records the waits, and advances the clock instead of waiting."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock
        self.waits: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self._clock.advance(max(seconds, 0))
        return self.is_set()


def test_an_order_expires_when_it_is_older_than_the_maximum_age() -> None:
    assert RetentionPolicy.of_seconds(86_400).cutoff(NOW) == NOW - timedelta(days=1)


def test_without_a_maximum_age_no_order_expires() -> None:
    assert RetentionPolicy.of_seconds(None) == KEEP_FOREVER
    assert KEEP_FOREVER.cutoff(NOW) <= datetime(1, 1, 1, tzinfo=UTC)


def test_transactions_follow_each_other_until_no_expired_order_is_left() -> None:
    clock = FakeClock()
    stop = RecordedStop(clock)
    assert [*prune(FakeExpiredOrders(1_007, clock), 0, stop, clock)] == [500, 500, 7]
    assert stop.waits == [0, 0, 0, 0]


def test_the_rate_includes_the_time_of_the_transactions() -> None:
    clock = FakeClock()
    stop = RecordedStop(clock)
    assert [*prune(FakeExpiredOrders(600, clock, seconds=0.25), 1_000, stop, clock)] == [500, 100]
    assert stop.waits == pytest.approx([0, 0.25, -0.15])


@pytest.mark.parametrize("rate", [0.25, 1, 7, 100, 499, 500, 1_000])
def test_no_more_orders_than_the_rate_are_deleted_in_any_second(rate: float) -> None:
    clock = FakeClock()
    transactions = [
        (clock(), count) for count in prune(FakeExpiredOrders(2_000, clock), rate, RecordedStop(clock), clock)
    ]
    assert sum(count for _, count in transactions) == 2_000
    for start, _ in transactions:
        in_a_second = sum(count for at, count in transactions if start <= at < start + 0.999)
        assert in_a_second <= max(rate, 1)


def test_a_stop_ends_it_between_two_transactions() -> None:
    stop, clock = ShutdownEvent(), FakeClock()
    orders = FakeExpiredOrders(3, clock)
    deleted = prune(orders, 0.001, stop, clock)
    assert next(deleted) == 1
    stop.set()
    with pytest.raises(Stopped):
        next(deleted)
    assert orders.count() == 2


def test_nothing_is_deleted_after_a_stop() -> None:
    stop, clock = ShutdownEvent(), FakeClock()
    stop.set()
    orders = FakeExpiredOrders(500, clock)
    with pytest.raises(Stopped):
        next(prune(orders, 0, stop, clock))
    assert orders.count() == 500

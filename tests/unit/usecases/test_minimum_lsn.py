"""What a standby returns may be cached once it has replayed the order's last notified change."""

import pytest

from service.usecases import minimum_lsn
from service.usecases.minimum_lsn import UNKNOWN_LSN, MinimumLsn

PRIMARY = None


def test_what_the_primary_returns_may_always_be_cached() -> None:
    minimum = MinimumLsn()
    minimum.reset(UNKNOWN_LSN)
    minimum.add("a")
    assert minimum.allows("a", PRIMARY)
    assert not minimum.is_behind(PRIMARY)


def test_what_a_standby_returns_may_not_be_cached_before_the_first_reset() -> None:
    minimum = MinimumLsn()
    assert minimum.is_behind(10**6)
    assert not minimum.allows("a", 10**6)


def test_a_notified_order_needs_the_position_of_the_next_advance() -> None:
    minimum = MinimumLsn()
    minimum.reset(10)
    minimum.add("a")
    assert not minimum.allows("a", 10**6)
    minimum.advance(20)
    assert [minimum.allows("a", lsn) for lsn in (19, 20, 21)] == [False, True, True]


def test_other_orders_need_only_the_shared_position() -> None:
    minimum = MinimumLsn()
    minimum.reset(10)
    minimum.add("a")
    minimum.advance(20)
    assert [minimum.allows("other", lsn) for lsn in (9, 10)] == [False, True]
    assert [minimum.is_behind(lsn) for lsn in (9, 10)] == [True, False]


def test_an_order_that_changes_again_is_not_cached_until_the_next_advance() -> None:
    minimum = MinimumLsn()
    minimum.reset(10)
    minimum.add("a")
    minimum.advance(20)
    minimum.add("a")
    assert not minimum.allows("a", 25)
    minimum.advance(30)
    assert [minimum.allows("a", lsn) for lsn in (25, 30)] == [False, True]


def test_a_reset_replaces_the_positions_of_single_orders() -> None:
    minimum = MinimumLsn()
    minimum.add("a")
    minimum.advance(50)
    minimum.reset(10)
    assert minimum.allows("a", 10)


def test_an_order_added_before_a_reset_is_not_cached_until_the_next_advance() -> None:
    """Its commit may be later than the LSN of the reset, which was read before its notification arrived."""
    minimum = MinimumLsn()
    minimum.add("a")
    minimum.reset(10)
    assert not minimum.allows("a", 10)
    minimum.advance(30)
    assert [minimum.allows("a", lsn) for lsn in (10, 30)] == [False, True]


def test_a_standby_behind_the_last_reset_may_not_be_cached_although_the_order_needs_an_earlier_position() -> None:
    minimum = MinimumLsn()
    minimum.reset(10)
    minimum.add("a")
    minimum.advance(5)
    assert not minimum.allows("a", 9)
    assert minimum.allows("a", 10)


def test_beyond_its_capacity_the_oldest_position_becomes_the_shared_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minimum_lsn, "MAX_TRACKED_ORDERS", 2)
    minimum = MinimumLsn()
    for lsn, uid in enumerate(["a", "b", "a", "c"], 1):  # the second change of a makes b the oldest
        minimum.add(uid)
        minimum.advance(lsn)
    assert [minimum.is_behind(lsn) for lsn in (1, 2)] == [True, False]
    assert not minimum.allows("a", 2)
    assert minimum.allows("b", 2)

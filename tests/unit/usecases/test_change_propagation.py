"""What a notification does to the cache, the event streams and the readiness of the API."""

from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic

import pytest

from service.pkg.lru import Lru
from service.pkg.ttl_set import TTLSet
from service.usecases.cached_orders import CachedOrders
from service.usecases.change_propagation import ChangePropagation
from service.usecases.ports.reads import Notification
from service.usecases.staleness import Staleness
from tests.kit.fakes import FakeClock


class Setup:
    """Records the calls of the use case in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[object] = []
        self.reset_since: datetime | None = None
        cached = CachedOrders(Lru(10, 2**20), TTLSet(10, 1), Staleness())
        for name in ("invalidate", "invalidate_all", "suspend"):
            monkeypatch.setattr(cached, name, partial(self._on_call, name))
        monkeypatch.setattr(cached.staleness, "mark_verified", partial(self._on_call, "verified"))
        self.changes = ChangePropagation(cached, self, self, lambda: self.calls.append("counted"))

    def _on_call(self, name: str, *values: object, **named: object) -> None:
        self.calls.append((name, *values, *named.values()))

    def publish(self, notification: Notification) -> None:
        self.calls.append(notification)

    def reset(self, since: datetime | None) -> None:
        self.calls.append("reset")
        self.reset_since = since

    def mark_unreachable(self) -> None:
        self.calls.append("unreachable")


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> Setup:
    return Setup(monkeypatch)


def test_changes_are_invalidated_before_they_are_published(setup: Setup) -> None:
    notification = Notification(new=["a"], changed=["b"])
    setup.changes.on_notify(notification)
    assert setup.calls == [("invalidate", ["a"]), ("invalidate", ["b"]), notification]


@pytest.mark.parametrize("versions", [0, 3])
def test_a_notification_has_a_version_for_each_order_or_none(versions: int) -> None:
    numbered = [(number, 0, 0) for number in range(versions)]
    assert Notification(new=["a"], changed=["b", "c"], versions=numbered).versions == numbered


@pytest.mark.parametrize("versions", [1, 2, 4])
def test_a_notification_with_another_number_of_versions_is_malformed(versions: int) -> None:
    with pytest.raises(ValueError, match="version"):
        Notification(new=["a"], changed=["b", "c"], versions=[(0, 0, 0)] * versions)


def test_a_new_listener_invalidates_everything_and_resets_the_event_streams(setup: Setup) -> None:
    setup.changes.on_listen(7)
    assert setup.calls == [("invalidate_all", 7), "counted", "reset"]
    assert setup.reset_since is None
    assert setup.changes.listening.is_set()


def test_a_reset_gives_the_time_of_the_last_verified_notification(setup: Setup) -> None:
    verified = monotonic() - 3_600
    setup.changes.on_verified(verified)
    setup.changes.on_listen(7)
    assert ("verified", verified) in setup.calls
    assert setup.reset_since
    assert abs(datetime.now(UTC) - setup.reset_since - timedelta(hours=1)) < timedelta(minutes=5)


@pytest.mark.parametrize(
    ("can_read", "calls"), [(True, [("suspend", True)]), (False, ["unreachable", ("suspend", False)])]
)
def test_a_lost_listener_suspends_caching(setup: Setup, *, can_read: bool, calls: list[object]) -> None:
    setup.changes.on_listen(7)
    setup.calls.clear()
    setup.changes.on_disconnect(can_read)
    assert setup.calls == calls
    assert not setup.changes.listening.is_set()


def test_the_rate_counts_changed_orders_between_verifications_until_the_listener_is_lost(setup: Setup) -> None:
    setup.changes.on_verified(1.0)
    setup.changes.on_notify(Notification(new=["a"], changed=["b"]))
    setup.changes.on_verified(2.0)
    assert (setup.changes.rate.per_second or 0) > 0
    setup.changes.on_disconnect(False)  # noqa: FBT003 - its only argument
    assert setup.changes.rate.per_second is None


def test_the_rate_is_that_of_the_last_ten_seconds(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr(setup.changes.rate, "_now", clock)
    setup.changes.on_verified(clock())
    setup.changes.on_notify(Notification(changed=["a", "b"]))
    rates = []
    for _ in range(2):
        clock.advance(10)
        setup.changes.on_verified(clock())
        rates.append(setup.changes.rate.per_second)
    assert rates == [0.2, 0]

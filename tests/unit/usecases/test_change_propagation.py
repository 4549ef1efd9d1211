"""What a notification does to the cache, the event streams and the readiness of the API."""

from datetime import datetime

import pytest

from service.pkg.lru import Lru
from service.pkg.ttl_set import TTLSet
from service.usecases.cached_orders import CachedOrders
from service.usecases.change_propagation import ChangePropagation
from service.usecases.ports.reads import Notification
from service.usecases.staleness import Staleness


class Setup:
    """Records the calls of the use case in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[object] = []
        cached = CachedOrders(Lru(10, 2**20), TTLSet(10, 1), Staleness())
        for name in ("invalidate", "invalidate_all", "suspend"):
            monkeypatch.setattr(cached, name, lambda *_, name=name, **__: self.calls.append(name))
        self.changes = ChangePropagation(cached, self, self, lambda: self.calls.append("counted"))

    def publish(self, notification: Notification) -> None:
        self.calls.append(notification)

    def reset(self, since: datetime | None) -> None:
        self.calls.append(("reset", since is not None))

    def mark_unreachable(self) -> None:
        self.calls.append("unreachable")


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> Setup:
    return Setup(monkeypatch)


def test_changes_are_invalidated_before_they_are_published(setup: Setup) -> None:
    notification = Notification(new=["a"], changed=["b"])
    setup.changes.on_notify(notification)
    assert setup.calls == ["invalidate", "invalidate", notification]


def test_a_new_listener_invalidates_everything_and_resets_the_event_streams(setup: Setup) -> None:
    setup.changes.on_listen(7)
    assert setup.calls == ["invalidate_all", "counted", ("reset", False)]
    assert setup.changes.listening.is_set()


def test_a_reset_gives_the_time_of_the_last_verified_notification(setup: Setup) -> None:
    setup.changes.on_verified(1.0)
    setup.changes.on_listen(7)
    assert setup.calls[-1] == ("reset", True)


@pytest.mark.parametrize(("can_read", "calls"), [(True, ["suspend"]), (False, ["unreachable", "suspend"])])
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

"""Several listeners count as one, which is verified only while all of them are."""

import pytest

from service.errors import InvalidSettings
from service.repo.listener.callbacks import MergedCallbacks
from service.repo.listener.merged import NO_DATABASE, OTHER_DATABASE, SAME_DATABASE, MergedListeners
from service.repo.scope import Identity
from service.usecases.minimum_lsn import UNKNOWN_LSN
from service.usecases.ports.reads import Notification

LSN = 7


class Setup:
    """The callbacks of listeners, which each test calls. Records the merged callbacks in order."""

    def __init__(self, count: int) -> None:
        self.calls: list[tuple[object, ...]] = []
        callbacks = MergedCallbacks(
            on_listen=lambda lsn: self.calls.append(("listen", lsn)),
            on_lsn=lambda lsn: self.calls.append(("lsn", lsn)),
            on_verified=lambda at: self.calls.append(("verified", at)),
            on_notify=lambda notification: self.calls.append(("notify", notification)),
            on_disconnect=lambda _: self.calls.append(("disconnect",)),
            on_repeated_timeouts=lambda: self.calls.append(("repeated timeouts",)),
        )
        self.merged = MergedListeners(count, callbacks)
        self.listeners = [self.merged.callbacks_of(number) for number in range(count)]

    def connect(self, *times: float) -> None:
        """Let the first listeners receive the first heartbeat of a connection, at these times."""
        for listener, at in zip(self.listeners, times, strict=False):
            listener.on_listen(LSN)
            listener.on_verified(at)

    def verify(self, *times: float) -> None:
        for listener, at in zip(self.listeners, times, strict=False):
            listener.on_verified(at)

    def problem(self, number: int, database: str, *, read: str = "a", is_standby: bool = False) -> str | None:
        return self.listeners[number].database_problem(database, Identity("channel", read, is_standby))


def test_one_listener_passes_everything_on() -> None:
    setup = Setup(1)
    setup.connect(1.0)
    setup.listeners[0].on_lsn(LSN)
    setup.listeners[0].on_notify(Notification(new=["a"]))
    setup.verify(2.0)
    setup.listeners[0].on_repeated_timeouts()
    assert setup.calls == [
        ("listen", LSN),
        ("verified", 1.0),
        ("lsn", LSN),
        ("notify", Notification(new=["a"])),
        ("verified", 2.0),
        ("repeated timeouts",),
    ]


def test_the_last_of_several_listeners_starts_caching() -> None:
    setup = Setup(2)
    seen = []
    for listener in setup.listeners:
        listener.on_listen(LSN)
        listener.on_verified(1.0)
        seen.append((setup.merged.is_verified, [*setup.calls]))
    assert seen == [(False, []), (True, [("listen", UNKNOWN_LSN), ("verified", 1.0)])]


def test_lsns_of_several_servers_are_not_compared() -> None:
    setup = Setup(2)
    setup.listeners[0].on_lsn(LSN)
    assert setup.calls == [("lsn", UNKNOWN_LSN)]


def test_the_time_of_verification_is_that_of_the_listener_verified_first() -> None:
    setup = Setup(3)
    setup.connect(1.0, 2.0, 3.0)
    setup.calls.clear()
    setup.verify(4.0, 5.0)
    setup.verify(6.0)
    assert setup.calls == []
    setup.listeners[2].on_verified(7.0)
    assert setup.calls == [("verified", 5.0)]


def test_a_notification_of_any_listener_is_passed_on() -> None:
    setup = Setup(2)
    for listener, uid in zip(setup.listeners, "ab", strict=True):
        listener.on_notify(Notification(changed=[uid]))
    assert setup.calls == [("notify", Notification(changed=[uid])) for uid in ("a", "b")]


def test_while_one_listener_is_lost_nothing_is_verified() -> None:
    setup = Setup(2)
    setup.connect(1.0, 2.0)
    setup.listeners[1].on_disconnect()
    setup.calls.clear()
    assert not setup.merged.is_verified
    assert setup.merged.disconnected.is_set()
    setup.verify(3.0)
    setup.verify(4.0)
    assert setup.calls == []
    setup.listeners[1].on_listen(LSN)
    setup.listeners[1].on_verified(5.0)
    assert setup.calls == [("listen", UNKNOWN_LSN), ("verified", 4.0)]
    assert not setup.merged.disconnected.is_set()


def test_after_both_are_lost_both_must_return() -> None:
    setup = Setup(2)
    setup.connect(1.0, 2.0)
    for listener in setup.listeners:
        listener.on_disconnect()
    setup.calls.clear()
    setup.listeners[1].on_listen(LSN)
    setup.listeners[1].on_verified(3.0)
    assert setup.calls == []
    setup.listeners[0].on_listen(LSN)
    setup.listeners[0].on_verified(4.0)
    assert setup.calls == [("listen", UNKNOWN_LSN), ("verified", 3.0)]


def test_one_listener_must_lead_to_the_database_that_is_read() -> None:
    setup = Setup(1)
    assert setup.problem(0, "b") == OTHER_DATABASE
    assert setup.problem(0, "a") is None
    assert setup.problem(0, "a") is None  # after a reconnection


@pytest.mark.parametrize("read", ["a", "b"])
def test_a_read_may_reach_any_of_several_nodes(read: str) -> None:
    setup = Setup(2)
    assert setup.problem(0, "a", read=read) is None
    assert setup.problem(1, "b", read=read) is None


def test_one_listener_may_serve_reads_from_a_standby() -> None:
    assert Setup(1).problem(0, "a", is_standby=True) is None


def test_several_listeners_cannot_serve_reads_from_a_standby() -> None:
    """Their LSNs cannot be compared with that of the standby, so that the warm-up would never end."""
    with pytest.raises(InvalidSettings, match="ORDERS_POSTGRES__DSN: must lead to a primary"):
        Setup(2).problem(0, "a", is_standby=True)


def test_several_listeners_must_include_the_database_that_is_read() -> None:
    setup = Setup(2)
    assert setup.problem(1, "b") is None
    assert setup.problem(0, "c") == NO_DATABASE
    assert setup.problem(0, "a") is None


def test_two_listeners_must_not_lead_to_the_same_database() -> None:
    setup = Setup(2)
    assert setup.problem(0, "a") is None
    assert setup.problem(1, "a") == SAME_DATABASE
    setup.listeners[0].on_disconnect()
    assert setup.problem(1, "a") is None
    assert setup.problem(0, "a") == SAME_DATABASE

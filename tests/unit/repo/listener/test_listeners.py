"""Several listeners count as one, which is verified only while all of them are."""

import pytest
import structlog

from service.repo.listener.listener import Listener
from service.repo.listener.listeners import NO_DATABASE, OTHER_DATABASE, SAME_DATABASE, Listeners, NotificationCallbacks
from service.repo.notifications import payloads
from service.repo.scope import Identity
from service.usecases.minimum_lsn import UNKNOWN_LSN

LSN = 7


class NoReads:
    async def identity(self) -> Identity:
        raise NotImplementedError

    async def replace_connections(self) -> None:
        raise NotImplementedError


class Setup:
    """Listeners that never connect: each test calls their transitions. Records the callbacks in order."""

    def __init__(self, count: int) -> None:
        self.calls: list[tuple[object, ...]] = []
        callbacks = NotificationCallbacks(
            on_listen=lambda lsn: self.calls.append(("listen", lsn)),
            on_lsn=lambda lsn: self.calls.append(("lsn", lsn)),
            on_verified=lambda at: self.calls.append(("verified", at)),
            on_notify=lambda new, changed: self.calls.append(("notify", new, changed)),
            on_disconnect=lambda _: self.calls.append(("disconnect",)),
            on_repeated_timeouts=lambda: self.calls.append(("repeated timeouts",)),
        )
        dsns = [f"postgresql://me:secret@node-{number}:5432/orders" for number in range(count)]
        log = structlog.get_logger()
        self.listeners = Listeners(dsns, NoReads(), callbacks, log, heartbeat=1, connect_timeout=1)
        self.members = self.listeners.members

    def verify(self, *times: float) -> None:
        for member, at in zip(self.members, times, strict=False):
            member._on_verified(at, LSN)

    def disconnect(self, member: Listener) -> None:
        member._on_disconnect(OSError())

    def problem(self, member: int, database: str, *, read: str = "a") -> str | None:
        return self.members[member]._callbacks.database_problem(database, read)


def test_one_listener_passes_everything_on() -> None:
    setup = Setup(1)
    setup.verify(1.0)
    setup.members[0]._on_notify(next(payloads(["a"], [])))
    setup.verify(2.0)
    assert setup.calls == [("listen", LSN), ("verified", 1.0), ("notify", ["a"], []), ("verified", 2.0)]


def test_the_last_of_several_listeners_starts_caching() -> None:
    setup = Setup(2)
    seen = []
    for member in setup.members:
        member._on_verified(1.0, LSN)
        seen.append((setup.listeners.is_verified, [*setup.calls]))
    assert seen == [(False, []), (True, [("listen", UNKNOWN_LSN), ("verified", 1.0)])]


def test_the_time_of_verification_is_that_of_the_listener_verified_first() -> None:
    setup = Setup(3)
    setup.verify(1.0, 2.0, 3.0)
    setup.calls.clear()
    setup.verify(4.0, 5.0)
    setup.verify(6.0)
    assert setup.calls == []
    setup.members[2]._on_verified(7.0, LSN)
    assert setup.calls == [("verified", 5.0)]


def test_a_notification_of_any_listener_is_passed_on() -> None:
    setup = Setup(2)
    for member, uid in zip(setup.members, "ab", strict=True):
        for payload in payloads([], [uid]):
            member._on_notify(payload)
    assert setup.calls == [("notify", [], ["a"]), ("notify", [], ["b"])]


def test_while_one_listener_is_lost_nothing_is_verified() -> None:
    setup = Setup(2)
    setup.verify(1.0, 2.0)
    setup.disconnect(setup.members[1])
    setup.calls.clear()
    assert not setup.listeners.is_verified
    assert setup.listeners._disconnected.is_set()
    setup.verify(3.0)
    setup.verify(4.0)
    assert setup.calls == []
    setup.members[1]._on_verified(5.0, LSN)
    assert setup.calls == [("listen", UNKNOWN_LSN), ("verified", 4.0)]
    assert not setup.listeners._disconnected.is_set()


def test_after_both_are_lost_both_must_return() -> None:
    setup = Setup(2)
    setup.verify(1.0, 2.0)
    for member in setup.members:
        setup.disconnect(member)
    setup.calls.clear()
    setup.members[1]._on_verified(3.0, LSN)
    assert setup.calls == []
    setup.members[0]._on_verified(4.0, LSN)
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


def test_several_listeners_must_include_the_database_that_is_read() -> None:
    setup = Setup(2)
    assert setup.problem(1, "b") is None
    assert setup.problem(0, "c") == NO_DATABASE
    assert setup.problem(0, "a") is None


def test_two_listeners_must_not_lead_to_the_same_database() -> None:
    setup = Setup(2)
    assert setup.problem(0, "a") is None
    assert setup.problem(1, "a") == SAME_DATABASE
    setup.disconnect(setup.members[0])
    assert setup.problem(1, "a") is None
    assert setup.problem(0, "a") == SAME_DATABASE


def test_a_listener_is_named_by_its_address_without_the_password() -> None:
    assert [member.server for member in Setup(2).members] == ["node-0:5432", "node-1:5432"]

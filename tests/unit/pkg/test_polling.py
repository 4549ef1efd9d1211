from collections.abc import Callable
from threading import Event, Timer

import pytest

from service.errors import CommandFailed, Stopped, TryAgain
from service.pkg import polling
from service.pkg.polling import Poller, poll
from service.pkg.shutdown_event import ShutdownEvent
from tests.kit.fakes import FakeClock


@pytest.fixture(autouse=True)
def _retry_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "RETRY_INTERVAL_SECONDS", 0.01)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr(polling, "monotonic", clock)
    return clock


def failing(times: int, what: str = "Kafka") -> Callable[[], str]:
    attempts = iter([*[True] * times, False])

    def attempt() -> str:
        if next(attempts):
            raise TryAgain(what)
        return "done"

    return attempt


def test_a_call_is_repeated_until_its_result_is_accepted() -> None:
    results, waits = iter(range(10)), list[float]()
    assert poll(lambda: next(results), lambda result: result == 3, seconds=10, interval=2, sleep=waits.append) == 3
    assert waits == [2, 2, 2]


def test_the_last_result_is_returned_after_the_timeout() -> None:
    assert poll(lambda: 7, lambda result: result == 3, seconds=0, interval=10) == 7


def test_a_shutdown_ends_the_wait_for_the_next_call() -> None:
    stop = ShutdownEvent()
    stop.set()
    with pytest.raises(Stopped):
        poll(lambda: 7, lambda result: result == 3, seconds=60, interval=60, sleep=stop.sleep)


def test_an_attempt_is_repeated_until_it_succeeds() -> None:
    assert Poller(10, print).until(failing(3), "Kafka") == "done"


class RecordedWaits(ShutdownEvent):
    """Records the waits instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return self.is_set()


def test_attempts_are_repeated_at_intervals_but_not_after_the_deadline(clock: FakeClock) -> None:
    stop = RecordedWaits()
    poller = Poller(1, print, stop)
    assert poller.until(failing(2), "Kafka") == "done"
    assert stop.waits == [0.01, 0.01]
    clock.advance(1)
    with pytest.raises(CommandFailed, match="timed out after 1 s waiting for Kafka"):
        poller.until(failing(1), "Kafka")
    assert not any(stop.waits[2:])


def test_the_reason_for_waiting_is_reported_when_it_changes_and_then_at_intervals(clock: FakeClock) -> None:
    reports: list[str] = []
    attempt = failing(11, "topic")

    def attempt_of_a_second() -> str:
        clock.advance(1)
        return attempt()

    Poller(60, reports.append, RecordedWaits()).until(attempt_of_a_second, "Kafka")
    assert reports == [f"waiting for topic ({seconds} s)" for seconds in (1, 6, 11)]


def test_work_that_never_ends_is_abandoned_at_the_deadline() -> None:
    never = Event()
    with pytest.raises(CommandFailed, match=r"timed out after 0.1 s waiting for a server"):
        Poller(0.1, print).until(never.wait, "a server")
    never.set()


def test_a_shutdown_ends_the_wait() -> None:
    stop, never = ShutdownEvent(), Event()
    Timer(0.05, stop.set).start()
    with pytest.raises(Stopped, match="stopped while waiting for a server"):
        Poller(60, print, stop).until(never.wait, "a server")
    never.set()


def test_any_other_error_is_raised_at_once() -> None:
    with pytest.raises(ZeroDivisionError):
        Poller(60, print).until(lambda: 1 // 0, "a server")

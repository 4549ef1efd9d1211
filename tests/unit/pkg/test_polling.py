from collections.abc import Callable
from threading import Event, Timer

import pytest

from service.errors import CommandFailed, Stopped, TryAgain
from service.pkg import polling
from service.pkg.polling import Poller, poll
from service.pkg.shutdown_event import ShutdownEvent


@pytest.fixture(autouse=True)
def _retry_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "RETRY_INTERVAL_SECONDS", 0.01)


def failing(times: int, what: str = "Kafka") -> Callable[[], str]:
    attempts = iter([*[True] * times, False])

    def attempt() -> str:
        if next(attempts):
            raise TryAgain(what)
        return "done"

    return attempt


def test_a_call_is_repeated_until_its_result_is_accepted() -> None:
    results = iter(range(10))
    assert poll(lambda: next(results), lambda result: result == 3, seconds=10, interval=0) == 3


def test_the_last_result_is_returned_after_the_timeout() -> None:
    assert poll(lambda: 7, lambda result: result == 3, seconds=0, interval=10) == 7


def test_a_shutdown_ends_the_wait_for_the_next_call() -> None:
    stop = ShutdownEvent()
    stop.set()
    with pytest.raises(Stopped):
        poll(lambda: 7, lambda result: result == 3, seconds=60, interval=60, sleep=stop.sleep)


def test_an_attempt_is_repeated_until_it_succeeds() -> None:
    assert Poller(10, print).until(failing(3), "Kafka") == "done"


def test_the_reason_for_waiting_is_reported_when_it_changes_and_then_at_intervals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reports: list[str] = []
    Poller(10, reports.append).until(failing(5, "topic"), "Kafka")
    assert reports == ["waiting for topic (0 s)"]
    monkeypatch.setattr(polling, "REPORT_INTERVAL_SECONDS", 0.0)
    Poller(10, reports.append).until(failing(5, "broker"), "Kafka")
    assert reports.count("waiting for broker (0 s)") >= 5


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

"""How long is waited, and what is said meanwhile."""

from collections.abc import Callable
from threading import Event, Timer

import pytest

from service.pkg import polling as patience
from service.pkg.polling import DeadlineExceeded, Poller, TryAgain
from service.pkg.shutdown_event import ShutdownEvent


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "RETRY_SECONDS", 0.01)


def failing(times: int, what: str = "rain") -> Callable[[], str]:
    attempts = iter([*[True] * times, False])

    def attempt() -> str:
        if next(attempts):
            raise TryAgain(what)
        return "done"

    return attempt


def test_an_attempt_is_repeated_until_it_succeeds() -> None:
    assert Poller(10, print).until(failing(3), "rain") == "done"


def test_what_is_waited_for_is_said_when_it_changes_and_then_at_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    Poller(10, said.append).until(failing(5, "snow"), "rain")
    assert said == ["waiting for snow (0 s)"]
    monkeypatch.setattr(patience, "SAY_EVERY_SECONDS", 0.0)
    Poller(10, said.append).until(failing(5, "hail"), "rain")
    assert said.count("waiting for hail (0 s)") >= 5


def test_work_that_never_ends_is_left_behind_at_the_deadline() -> None:
    never = Event()
    with pytest.raises(DeadlineExceeded, match=r"gave up after 0.1 s of waiting for Godot"):
        Poller(0.1, print).call(never.wait, "Godot")
    never.set()


def test_a_stop_ends_work_and_wait_alike() -> None:
    stop, never = ShutdownEvent(), Event()
    Timer(0.05, stop.set).start()
    with pytest.raises(DeadlineExceeded, match="stopped while waiting for Godot"):
        Poller(60, print, stop).call(never.wait, "Godot")
    never.set()


def test_any_other_error_passes_through_at_once() -> None:
    with pytest.raises(ZeroDivisionError):
        Poller(60, print).until(lambda: 1 // 0, "a miracle")

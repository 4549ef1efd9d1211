"""`tests/commands/test_exit.py` tests signals during a wait."""

import signal
from threading import Thread

import pytest

from service.pkg.shutdown_event import ShutdownEvent


def test_a_wait_ends_early_for_every_thread_that_waits() -> None:
    stop, ended = ShutdownEvent(), list[bool]()
    threads = [Thread(target=lambda: ended.append(stop.wait(30))) for _ in range(3)]
    for thread in threads:
        thread.start()
    stop.set()
    for thread in threads:
        thread.join(10)
    assert ended == [True, True, True]


def test_a_wait_that_times_out_returns_false() -> None:
    assert not ShutdownEvent().wait(0.01)


@pytest.mark.parametrize(("number", "was_interrupted"), [(signal.SIGTERM, False), (signal.SIGINT, True)])
def test_signals_set_it(number: signal.Signals, *, was_interrupted: bool) -> None:
    stop = ShutdownEvent()
    stop.set_at_signals()
    signal.raise_signal(number)
    assert stop.wait(10)
    assert stop.was_interrupted() is was_interrupted


def test_a_second_signal_is_harmless() -> None:
    stop = ShutdownEvent()
    stop.set_at_signals()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        signal.raise_signal(number)
    assert (stop.is_set(), stop.was_interrupted()) == (True, True)


def test_ctrl_c_interrupts_a_block_that_does_not_check_the_event() -> None:
    stop = ShutdownEvent()
    stop.set_at_signals()
    with pytest.raises(KeyboardInterrupt), stop.interruptible():
        signal.raise_signal(signal.SIGINT)
    assert (stop.is_set(), stop.was_interrupted()) == (False, True)


def test_after_an_interruptible_block_ctrl_c_sets_the_event() -> None:
    stop = ShutdownEvent()
    stop.set_at_signals()
    with stop.interruptible():
        pass
    signal.raise_signal(signal.SIGINT)
    assert stop.is_set()

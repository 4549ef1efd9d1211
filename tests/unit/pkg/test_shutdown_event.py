"""A stop that a signal asks for while its own thread waits."""

import os
import signal
import subprocess
import sys
from threading import Thread

from service.pkg.shutdown_event import ShutdownEvent, stop_at_signals

STORM = """
import random, signal
from service.pkg.shutdown_event import ShutdownEvent
stop = ShutdownEvent()
signal.signal(signal.SIGALRM, lambda *_: stop.set())
for _ in range(30_000):
    stop = ShutdownEvent()
    signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 5e-5))
    while not stop.is_set():
        stop.wait(0)
"""


def test_a_signal_during_a_wait_does_not_deadlock() -> None:
    subprocess.run([sys.executable, "-c", STORM], check=True, timeout=30)  # noqa: S603 - our own text


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


def test_sigterm_sets_it() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        stop = stop_at_signals()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(10)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

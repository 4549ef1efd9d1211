"""A request to stop that can be waited for."""

import signal
from collections import Counter
from contextlib import suppress
from queue import Empty, SimpleQueue

_received: Counter[int] = Counter()
"""Signals that asked this process to stop."""


class Stopped(Exception):
    """The process was asked to stop while something was still waited for; nothing of that counts."""


class ShutdownEvent:
    """Set once, by a signal or an error; waits end early when it is."""

    def __init__(self) -> None:
        self._asked = False
        # Not an Event: its lock stands still for ever when a handler calls set() in the thread that is in wait().
        self._wake: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        self._asked = True
        self._wake.put(None)

    def is_set(self) -> bool:
        return self._asked

    def wait(self, seconds: float) -> bool:
        """Block for at most `seconds`; True when asked to stop."""
        with suppress(Empty):
            self._wake.put(self._wake.get(timeout=max(seconds, 0)))  # put back for whoever waits too
        return self._asked

    def sleep(self, seconds: float) -> None:
        """Block for `seconds`. Raises Stopped as soon as a stop is asked for."""
        if self.wait(seconds):
            raise Stopped


def stop_at_signals() -> ShutdownEvent:
    """Return what SIGTERM and SIGINT set from now on; a container's first process would ignore SIGTERM otherwise."""
    stop = ShutdownEvent()

    def ask(number: int, _frame: object) -> None:
        _received[number] += 1
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    return stop


def was_interrupted() -> bool:
    """Tell whether Ctrl-C was one of them."""
    return _received[signal.SIGINT] > 0

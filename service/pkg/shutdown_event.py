"""An event that requests shutdown."""

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue

from service.errors import Stopped

_signals: Counter[int] = Counter()
"""Signals received by this process, counted."""


class ShutdownEvent:
    """Set by a signal or an error; ends waits early."""

    def __init__(self) -> None:
        self._is_set = False
        # Not a threading.Event: it deadlocks if a signal handler calls set() in the thread that is inside wait().
        self._wake: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        self._is_set = True
        self._wake.put(None)

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, seconds: float) -> bool:
        """Block for at most `seconds`; return whether shutdown was requested."""
        with suppress(Empty):
            self._wake.put(self._wake.get(timeout=max(seconds, 0)))  # put back, to wake other waiting threads
        return self._is_set

    def sleep(self, seconds: float) -> None:
        """Block for `seconds`. Raises Stopped as soon as shutdown is requested."""
        if self.wait(seconds):
            raise Stopped


def stop_at_signals() -> ShutdownEvent:
    """Return an event that SIGTERM and SIGINT set. Without a handler, PID 1 of a container ignores SIGTERM."""
    stop = ShutdownEvent()

    def handle(number: int, _frame: object) -> None:
        _signals[number] += 1
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    return stop


@contextmanager
def interruptible() -> Iterator[None]:
    """Within the block, let Ctrl-C raise KeyboardInterrupt: for calls that block and do not check a ShutdownEvent."""

    def interrupt(number: int, _frame: object) -> None:
        _signals[number] += 1
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def was_interrupted() -> bool:
    """Return whether SIGINT (Ctrl-C) was received."""
    return _signals[signal.SIGINT] > 0

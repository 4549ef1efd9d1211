"""An event that requests shutdown."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue

from service.errors import Stopped


class ShutdownEvent:
    """Set by a signal or an error; ends waits early."""

    def __init__(self) -> None:
        self._is_set = False
        self._was_interrupted = False
        # Not a threading.Event: it deadlocks if a signal handler calls set() in the thread that is inside wait().
        self._wake: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        self._is_set = True
        self._wake.put(None)

    def is_set(self) -> bool:
        return self._is_set

    def was_interrupted(self) -> bool:
        """Return whether SIGINT (Ctrl-C) was received."""
        return self._was_interrupted

    def wait(self, seconds: float) -> bool:
        """Block for at most `seconds`; return whether shutdown was requested."""
        with suppress(Empty):
            self._wake.put(self._wake.get(timeout=max(seconds, 0)))  # put back, to wake other waiting threads
        return self._is_set

    def sleep(self, seconds: float) -> None:
        """Block for `seconds`. Raises Stopped as soon as shutdown is requested."""
        if self.wait(seconds):
            raise Stopped

    def set_at_signals(self) -> None:
        """Let SIGTERM and SIGINT set the event. PID 1 of a container ignores SIGTERM if it has no handler."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let Ctrl-C raise KeyboardInterrupt within the block: for calls that block and do not check the event."""
        previous = signal.signal(signal.SIGINT, self._interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)

    def _on_signal(self, number: int, _frame: object) -> None:
        self._was_interrupted |= number == signal.SIGINT
        self.set()

    def _interrupt(self, _number: int, _frame: object) -> None:
        self._was_interrupted = True
        raise KeyboardInterrupt

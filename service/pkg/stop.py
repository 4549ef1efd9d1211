"""A request to stop that can be waited for."""

import threading


class Stop:
    """Set once, by a signal or an error; waits end early when it is."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Block for at most `seconds`; True when asked to stop."""
        return self._event.wait(seconds)

"""The state of a listener: whether notifications arrive, and how long it waits before it reconnects."""

from enum import Enum, auto
from typing import Final

RETRY_INTERVAL_SECONDS: Final = 0.2
"""Delay between attempts to connect: a dead connection is detected and replaced, and the cache cleared, in a second."""
MAX_RETRY_INTERVAL_SECONDS: Final = 5.0
"""The longest wait if heartbeats time out repeatedly: someone must fix the cause, and each attempt opens two
connections."""


class ListenerState(Enum):
    """Whether notifications arrive."""

    UNVERIFIED = auto()
    """No heartbeat has arrived since the readers' connections were opened or replaced."""
    VERIFIED = auto()
    """The last heartbeat has arrived, and so has every notification before it."""
    LOST = auto()
    """A verified connection failed, which may have left the readers' connections half-open too."""


class ListenerLifecycle:
    """The transitions between the states."""

    def __init__(self) -> None:
        self.state = ListenerState.UNVERIFIED
        self._consecutive_timeouts = 0

    def on_heartbeat(self) -> bool:
        """Record that a heartbeat has arrived. Return whether it is the first one of its connection."""
        is_first = self.state is not ListenerState.VERIFIED
        self.state = ListenerState.VERIFIED
        self._consecutive_timeouts = 0
        return is_first

    def on_failure(self, *, has_timed_out: bool) -> float:
        """Record that a connection failed, or that a heartbeat timed out. Return the seconds until the next attempt."""
        if self.state is ListenerState.VERIFIED:
            self.state = ListenerState.LOST
            return 0.0  # it worked, so it is replaced immediately
        self._consecutive_timeouts = self._consecutive_timeouts + 1 if has_timed_out else 0
        return min(RETRY_INTERVAL_SECONDS * 2.0**self._consecutive_timeouts, MAX_RETRY_INTERVAL_SECONDS)

    def on_readers_replaced(self) -> None:
        """Record that the readers' connections were replaced: once, and not at each attempt to reconnect."""
        self.state = ListenerState.UNVERIFIED

    @property
    def has_repeated_timeouts(self) -> bool:
        """Whether consecutive heartbeats timed out, although PostgreSQL answers: someone must fix the cause."""
        return self._consecutive_timeouts > 1

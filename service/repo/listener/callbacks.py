"""What listeners call. All of it runs on the event loop, and none may block."""

from collections.abc import Callable
from dataclasses import dataclass

from service.repo.scope import Identity
from service.usecases.ports.reads import Notification


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationCallbacks:
    on_listen: Callable[[int], None]
    """Notifications arrive from now on. Notifications of commits before this LSN may have been missed."""
    on_lsn: Callable[[int], None]
    """Every notification received so far was committed before this LSN."""
    on_verified: Callable[[float], None]
    """Every notification sent before this time of time.monotonic() has been received."""
    on_notify: Callable[[Notification], None]
    on_repeated_timeouts: Callable[[], None]
    """Consecutive heartbeats timed out although PostgreSQL answers: someone must fix the cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerCallbacks(NotificationCallbacks):
    """Callbacks of one listener."""

    on_disconnect: Callable[[], None]
    """Notifications may be missed until `on_listen`."""
    database_problem: Callable[[str, Identity], str | None]
    """Return why listening to this database does not suit reads from that one; None if it does.

    Raises InvalidSettings if a retry cannot help.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedCallbacks(NotificationCallbacks):
    """Callbacks of all listeners. LSNs of several servers cannot be compared: they are UNKNOWN_LSN."""

    on_disconnect: Callable[[bool], None]
    """Notifications may be missed. Called repeatedly until `on_listen`, with whether the database can be read."""

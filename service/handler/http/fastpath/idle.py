"""The idle connections of a server: at the connection limit, one of them is closed to admit a new connection."""

from itertools import islice
from typing import Any, Final, Protocol

MIN_IDLE_SECONDS: Final = 5.0
"""A connection is not closed before it was idle for this long."""
MAX_EVICTION_CANDIDATES: Final = 16
"""How many idle connections are examined to find one to close."""


class IdleConnection(Protocol):
    transport: Any
    last_hit_at: float
    """Loop time of the connection's last response from the cache."""


class IdleConnections:
    """Longest idle first. Belongs to one event loop, whose clock gives all times."""

    def __init__(self) -> None:
        self._since: dict[IdleConnection, float] = {}

    def add(self, connection: IdleConnection, now: float) -> None:
        self._since.setdefault(connection, now)

    def discard(self, connection: IdleConnection) -> None:
        self._since.pop(connection, None)

    def close_longest(self, now: float) -> bool:
        """Close a connection. Return False if none was idle for MIN_IDLE_SECONDS."""
        for connection, since in [*islice(self._since.items(), MAX_EVICTION_CANDIDATES)]:
            if connection.last_hit_at > since:  # hits do not move a connection to the end: that would be slower
                del self._since[connection]
                self._since[connection] = connection.last_hit_at
            elif since <= now - MIN_IDLE_SECONDS:
                del self._since[connection]
                connection.transport.close()
                return True
        return False

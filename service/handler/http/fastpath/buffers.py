"""The memory budget for slow clients, shared by all connections of a server.

It counts unsent responses, pipelined requests and incomplete request heads. Over budget, the connections that have gone
longest without progress are closed. An attacker therefore evicts other slow clients, never a client that reads its
responses promptly.
"""

from collections.abc import Callable
from typing import Final, Protocol

UNCOUNTED_BYTES: Final = 4 * 2**10
"""A connection below this size is not counted: a typical response, just before it is sent."""
EVICTION_SHARE: Final = 8
"""Evictions free 1/8 of the budget, so that not every further byte scans all connections."""


class BufferedConnection(Protocol):
    def buffered_bytes(self) -> int:
        """Return the memory in use for the client now."""

    def abort(self) -> None:
        """Close immediately and discard unsent data."""


class BufferBudget:
    """Belongs to one server and its event loop. `on_drop` is called for each connection that is closed."""

    def __init__(self, max_bytes: int, on_drop: Callable[[], None] = lambda: None) -> None:
        self._max_bytes = max_bytes
        self._on_drop = on_drop
        self._sizes: dict[BufferedConnection, int] = {}
        self.size = 0
        """An upper bound of the bytes in use: connections are measured again only when the budget is exceeded."""

    def __len__(self) -> int:
        return len(self._sizes)

    def update(self, connection: BufferedConnection) -> None:
        """Count the connection's current size; this may close other connections."""
        size = connection.buffered_bytes()
        if size <= UNCOUNTED_BYTES:
            self.discard(connection)
            return
        self.size += size - self._sizes.get(connection, 0)
        self._sizes[connection] = size
        if self.size > self._max_bytes:
            self._evict(connection)

    def discard(self, connection: BufferedConnection) -> None:
        """Stop counting the connection."""
        self.size -= self._sizes.pop(connection, 0)

    def drop(self, connection: BufferedConnection) -> None:
        """Close the connection because its client is too slow."""
        self.discard(connection)
        self._on_drop()
        connection.abort()

    def _evict(self, newest: BufferedConnection) -> None:
        for connection, before in [*self._sizes.items()]:
            size = connection.buffered_bytes()
            if size < before:  # it made progress: move it to the end
                del self._sizes[connection]
            self._sizes[connection] = size
            self.size += size - before
        for connection in [*self._sizes]:
            if self.size <= self._max_bytes - self._max_bytes // EVICTION_SHARE:
                return
            if connection is not newest:
                self.drop(connection)

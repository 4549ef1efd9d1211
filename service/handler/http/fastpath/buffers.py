"""What connections hold in memory for clients that are slow, bounded over all connections of a server.

Counted are answers that the client has not taken, requests that wait for the answers before theirs, and heads that have
not come to their end. Beyond the bound connections are closed, first the one that has made no progress for longest:
an attacker takes room from others like him, never from a client that takes its answers at once.
"""

from collections.abc import Callable
from typing import Final, Protocol

UNNOTICED_BYTES: Final = 4 * 2**10
"""What a connection may hold without being counted: the usual answer, in the moment before it is written."""
_ROOM_SHARE: Final = 8
"""This part of the bound is made free at a time, so that not every further byte asks every connection."""


class BufferedConnection(Protocol):
    def buffered_bytes(self) -> int:
        """Return what is held for the client now."""

    def abort(self) -> None:
        """Close at once, and let go of what is held."""


class Buffers:
    """For one server and its event loop; `on_drop` is called for each connection that is closed."""

    def __init__(self, max_bytes: int, on_drop: Callable[[], None] = lambda: None) -> None:
        self._max_bytes = max_bytes
        self._on_drop = on_drop
        self._sizes: dict[BufferedConnection, int] = {}
        self.size = 0
        """Bytes that are held, or somewhat more: connections are asked again only when there is no room."""

    def __len__(self) -> int:
        return len(self._sizes)

    def update(self, connection: BufferedConnection) -> None:
        """Count what the connection holds now."""
        size = connection.buffered_bytes()
        if size <= UNNOTICED_BYTES:
            self.discard(connection)
            return
        self.size += size - self._sizes.get(connection, 0)
        self._sizes[connection] = size
        if self.size > self._max_bytes:
            self._make_room(connection)

    def discard(self, connection: BufferedConnection) -> None:
        self.size -= self._sizes.pop(connection, 0)

    def drop(self, connection: BufferedConnection) -> None:
        self.discard(connection)
        self._on_drop()
        connection.abort()

    def _make_room(self, newest: BufferedConnection) -> None:
        for connection, before in [*self._sizes.items()]:
            size = connection.buffered_bytes()
            if size < before:  # it has made progress, and comes last
                del self._sizes[connection]
            self._sizes[connection] = size
            self.size += size - before
        for connection in [*self._sizes]:
            if self.size <= self._max_bytes - self._max_bytes // _ROOM_SHARE:
                return
            if connection is not newest:
                self.drop(connection)

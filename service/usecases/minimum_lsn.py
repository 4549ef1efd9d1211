"""How far a standby must have replayed the WAL before the API may cache what it returns.

A notification reports a commit on the primary. A standby that has not replayed it yet still returns the previous
version. So each notified order has a minimum WAL position (LSN), and a shared minimum applies to all others.
"""

from typing import Final

MAX_TRACKED_ORDERS: Final = 50_000
"""Maximum number of orders with their own minimum. Beyond it, the oldest minimum becomes the shared one."""
UNKNOWN_LSN: Final = 2**64
"""Greater than every LSN: nothing that a standby returns may be cached."""


class MinimumLsn:
    """The minimum of each notified order, and the shared one, unknown until `reset`. Belongs to one event loop."""

    def __init__(self) -> None:
        self._shared = UNKNOWN_LSN
        self._by_order: dict[str, int] = {}
        self._pending: set[str] = set()

    def reset(self, lsn: int) -> None:
        """Require this LSN for all orders: notifications of earlier commits may have been missed.

        Orders added since the last `advance` remain: they may have been committed after this LSN was read.
        """
        self._shared = lsn
        self._by_order.clear()

    def add(self, uid: str) -> None:
        """Track a notified order. Its minimum is unknown until the next `advance`."""
        self._pending.add(uid)

    def advance(self, lsn: int) -> None:
        """Set the minimum of the orders added since the last call: all of them were committed before this LSN."""
        for uid in self._pending:
            self._by_order.pop(uid, None)  # move it to the end of the insertion order
            self._by_order[uid] = lsn
        self._pending.clear()
        while len(self._by_order) > MAX_TRACKED_ORDERS:
            self._shared = self._by_order.pop(next(iter(self._by_order)))

    def is_behind(self, replay_lsn: int | None) -> bool:
        """Return whether a standby at this WAL position is behind the shared minimum. None is the primary.

        Then none of its results may be cached.
        """
        return replay_lsn is not None and replay_lsn < self._shared

    def allows(self, uid: str, replay_lsn: int | None) -> bool:
        """Return whether what a standby returned at this WAL position may be cached. None is the primary."""
        if replay_lsn is None:
            return True
        if self.is_behind(replay_lsn) or uid in self._pending:
            return False
        return replay_lsn >= self._by_order.get(uid, self._shared)

"""How far a standby must have come before what it tells of an order is as new as what was notified.

A notification tells of a commit on the primary; a standby that is behind still answers with what was there before. So
every id that was heard has a floor, a position in the primary's log, and so have all others together.
"""

from typing import Final

from service.usecases.ports import Read

REMEMBERED: Final = 50_000
"""Ids with a floor of their own. The oldest give theirs to all others: a standby further behind is not cached from."""
UNKNOWN: Final = 2**64
"""Beyond every position."""


class Floors:
    """For one event loop."""

    def __init__(self) -> None:
        self._of_all = 0
        self._of: dict[str, int] = {}
        self._heard: set[str] = set()

    def begin(self, position: int) -> None:
        """Take this floor for all: what was committed before it may not have been heard."""
        self._of_all = position
        self._of.clear()
        self._heard.clear()

    def hear(self, uid: str) -> None:
        """Give this id a floor, which is not known before `reach`."""
        self._heard.add(uid)

    def reach(self, position: int) -> None:
        """Learn that all that was heard until now was committed before this position."""
        for uid in self._heard:
            self._of.pop(uid, None)  # so that it is the newest again
            self._of[uid] = position
        self._heard.clear()
        while len(self._of) > REMEMBERED:
            self._of_all = self._of.pop(next(iter(self._of)))

    def is_behind(self, read: Read) -> bool:
        """Tell whether a read is too old to be kept, whatever it read."""
        return read.as_of is not None and read.as_of < self._of_all

    def allows(self, uid: str, read: Read) -> bool:
        """Tell whether a read that began after the last notification for this id has seen what that told of."""
        if read.as_of is None:
            return True
        return not self.is_behind(read) and uid not in self._heard and read.as_of >= self._of.get(uid, 0)

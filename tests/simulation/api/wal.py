"""The commits of a database: what each server has, and when."""

import bisect
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Commit(NamedTuple):
    """`orders` has the version of each order that it stored; None: it was erased."""

    lsn: int
    orders: Mapping[str, int | None]


class State(NamedTuple):
    """An order was in this version, or did not exist, from a moment on."""

    since: float
    version: int | None


class Copy:
    """The orders of one server: a primary's, or those that a standby has replayed."""

    def __init__(self) -> None:
        self.lsn = 0
        self.orders: dict[str, int] = {}
        self._history: dict[str, list[State]] = {}

    def apply(self, commit: Commit, now: float) -> None:
        self.lsn = commit.lsn
        for uid, version in commit.orders.items():
            self._history.setdefault(uid, []).append(State(now, version))
            if version is None:
                self.orders.pop(uid, None)
            else:
                self.orders[uid] = version

    def versions(self, uid: str, first: float, last: float) -> Sequence[int | None]:
        """Return the versions that the order had between two moments; None where it did not exist."""
        history = self._history.get(uid, [])
        start = bisect.bisect_right(history, first, key=lambda each: each.since)
        end = bisect.bisect_right(history, last, key=lambda each: each.since)
        before = history[start - 1].version if start else None
        return [before, *(each.version for each in history[start:end])]

"""The invariants of the API's answers.

An answer must be the order as it was at a moment that is not too long ago: `docs/delivery.md` allows a second, which is
two heartbeats. While the database could not be read, or the process was suspended, the API may answer from the cache
what it was before; `cache.max_stale` limits that.
"""

from dataclasses import dataclass
from typing import Final

from service.usecases.lookup import LookupResult
from tests.simulation.api.statements import version_of
from tests.simulation.api.wal import Copy
from tests.simulation.scheduler import START_SECONDS
from tests.simulation.violation import Violation

MARGIN_SECONDS: Final = 0.1
"""Latencies of requests, statements and notifications."""


@dataclass(frozen=True, slots=True)
class Outage:
    """The database cannot be read, or the API is suspended."""

    began: float
    ends: float


class Checker:
    """`max_stale`: the setting. `copy`: what the server for reads has."""

    def __init__(self, copy: Copy, heartbeat: float, max_stale: float | None) -> None:
        self.copy = copy
        self._bound = 2 * heartbeat + MARGIN_SECONDS
        self._max_stale = max_stale
        self.outages: list[Outage] = []
        self.suspensions: list[Outage] = []
        """Also in `outages`."""

    def verify(self, uid: str, answer: LookupResult | None, began: float, ended: float) -> None:
        is_hit = answer is not None and answer.is_hit
        self.verify_body(uid, None if answer is None else bytes(answer.body), began, ended, is_hit=is_hit)

    def verify_body(self, uid: str, body: bytes | None, began: float, ended: float, *, is_hit: bool = False) -> None:
        since = self._since(began)
        if is_hit and self._max_stale is not None:
            since = max(since, began - self._max_stale - MARGIN_SECONDS)
        version = None if body is None else version_of(body)
        allowed = self.copy.versions(uid, since, ended)
        if version not in allowed:
            raise Violation(
                f"{uid} was requested at {began - START_SECONDS:.3f} s and answered with version {version}, "
                f"but from {since - START_SECONDS:.3f} s on it had {allowed}"
            )

    def _since(self, moment: float) -> float:
        """Return the earliest moment whose orders may be returned."""
        since = moment - self._bound
        for outage in sorted(self.outages, key=lambda each: each.began, reverse=True):
            if outage.began <= moment and outage.ends >= since:
                since = min(since, outage.began - self._bound)
        return since

    def suspended_seconds(self, began: float, ended: float) -> float:
        """Return for how long the API was suspended meanwhile."""
        return sum(max(min(each.ends, ended) - max(each.began, began), 0) for each in self.suspensions)

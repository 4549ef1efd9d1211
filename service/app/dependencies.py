"""Which servers the API reaches, and since when: what `/stats` tells of them."""

from collections.abc import Callable
from datetime import UTC, datetime

from service.handler.http.routes.stats import DependencyStatus
from service.pkg.timestamps import rfc3339


class Dependency:
    """Whether one server is reached; the time is that at which this process found it out."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._is_up: bool | None = None
        self._since = now()

    def note(self, *, is_up: bool) -> None:
        if is_up is not self._is_up:
            self._is_up, self._since = is_up, self._now()

    @property
    def figures(self) -> DependencyStatus | None:
        """None before anything was noted."""
        return None if self._is_up is None else DependencyStatus(self._is_up, rfc3339(self._since))

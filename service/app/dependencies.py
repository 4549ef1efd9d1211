"""Whether the API reaches its dependencies, and since when, for `/stats`."""

from collections.abc import Callable
from datetime import UTC, datetime

from service.handler.http.routes.stats import DependencyStatus
from service.pkg.timestamps import rfc3339


class Dependency:
    """The state of one dependency and the time at which this process noticed its last change."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._is_up: bool | None = None
        self._since = now()

    def note(self, *, is_up: bool) -> None:
        if is_up is not self._is_up:
            self._is_up, self._since = is_up, self._now()

    @property
    def figures(self) -> DependencyStatus | None:
        """None before the first call of `note`."""
        return None if self._is_up is None else DependencyStatus(self._is_up, rfc3339(self._since))

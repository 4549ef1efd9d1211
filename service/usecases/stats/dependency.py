"""The state of the API's dependencies, and when it last changed, for `/stats`."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from service.pkg.timestamps import rfc3339
from service.usecases.stats.view import DependencyStatus

STARTUP_GRACE: Final = timedelta(seconds=2)
"""How long connecting for the first time may take before the dependency counts as down."""


class Dependency:
    """The state of one dependency and the time at which this process noticed its last change."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._is_up: bool | None = None
        self._started_at = self._since = now()

    def set_state(self, *, is_up: bool) -> None:
        now = self._now()
        is_starting = self._is_up is None and not is_up and now - self._started_at < STARTUP_GRACE
        if is_up is not self._is_up and not is_starting:
            self._is_up, self._since = is_up, now

    @property
    def status(self) -> DependencyStatus | None:
        """None until the dependency is up for the first time, or STARTUP_GRACE has passed."""
        return None if self._is_up is None else DependencyStatus(self._is_up, rfc3339(self._since))

"""Values of `/stats` that are read from PostgreSQL and Kafka, at intervals and with a timeout."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from service.pkg.refreshing_value import RefreshingValue

T = TypeVar("T")

REFRESH_INTERVAL_SECONDS: Final = 5.0
TIMEOUT_SECONDS: Final = 1.0


def refreshing(load: Callable[[], Awaitable[T | None]]) -> RefreshingValue[T]:
    return RefreshingValue(load, interval_seconds=REFRESH_INTERVAL_SECONDS, timeout_seconds=TIMEOUT_SECONDS)

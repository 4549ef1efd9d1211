"""How long to wait between attempts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """The n-th wait is random between 0 and `initial_backoff` * 2^(n-1) seconds, at most `max_backoff`."""

    initial_backoff: float
    max_backoff: float
    give_up_after: float | None
    """Seconds after which the last error is raised; None: never."""

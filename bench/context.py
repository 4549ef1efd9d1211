"""Where a measurement takes place."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Context:
    bootstrap_servers: str
    dsn: str
    """Of the server's own maintenance database; each measurement makes and drops its own database."""
    folder: Path
    """Scratch space."""
    rounds: int
    """Interleaved rounds, 3 by default."""
    scale: float
    """1.0 is the full sizes; `--quick` is 0.05."""
    echo: Callable[[str], None]

    def scaled(self, full: int, least: int = 1) -> int:
        """Return the size that is `full` at scale 1, and at any scale `least`."""
        return max(round(full * self.scale), least)

"""The servers and parameters of a run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Context:
    bootstrap_servers: str
    dsn: str
    """Connection string of the maintenance database. Each measurement creates and drops its own databases."""
    folder: Path
    """Folder for temporary files."""
    rounds: int
    """Interleaved rounds, 3 by default."""
    scale: float
    """1.0 means the full sizes; `--quick` uses 0.05."""
    echo: Callable[[str], None]

    def scaled(self, full: int, minimum: int = 1) -> int:
        """Return `full` times the scale, but at least `minimum`."""
        return max(round(full * self.scale), minimum)

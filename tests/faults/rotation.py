"""Which scenarios a run of all tests has: a third, by the commit. Who names scenarios, and `make chaos`, gets all."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

THIRDS: Final = 3
FOLDER: Final = "tests/faults"

T = TypeVar("T")


def commit_of(folder: Path) -> str | None:
    """Return the hash of the commit that is checked out; None where Git knows of none."""
    command = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def turn_of(commit: str) -> int:
    """Return 0, 1 or 2: as good as drawn, so that no rhythm of commits and runs leaves a third out for ever."""
    return int(commit, 16) % THIRDS


def third(scenarios: Sequence[T], turn: int) -> list[T]:
    """Return every third one: neighbours, which resemble each other and take equally long, run at different turns."""
    return list(scenarios[turn::THIRDS])


def are_named(arguments: Sequence[str], keyword: str) -> bool:
    """Tell whether a run was asked for files or scenarios of tests/faults, or for tests with some name."""
    return bool(keyword) or any("::" in each or f"{FOLDER}/" in each.rstrip("/") for each in arguments)

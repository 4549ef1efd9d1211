"""Selects a third of the scenarios, one of the formats with a schema, and the seed by the commit.

Applies to runs that neither name scenarios nor set ORDERS_CHAOS_SEEDS.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeVar

THIRDS: Final = 3
FOLDER: Final = "tests/faults"

T = TypeVar("T")


def commit_of(folder: Path) -> str | None:
    """Return the hash of the checked-out commit; None outside a Git repository."""
    command = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def turn_of(commit: str) -> int:
    """Return 0, 1 or 2. Hashes are effectively random, so that every third runs sooner or later."""
    return int(commit, 16) % THIRDS


def seed_of(commit: str) -> int:
    """Return 1 or 2, whatever the turn is."""
    return 1 + int(commit, 16) // THIRDS % 2


def choice(names: Sequence[T], commit: str) -> T:
    """Return one of the names, whatever turn and seed are."""
    return names[int(commit, 16) // (2 * THIRDS) % len(names)]


def third(scenarios: Sequence[T], turn: int) -> list[T]:
    """Return every third scenario, so that similar neighbors of equal duration are spread over the turns."""
    return list(scenarios[turn::THIRDS])


def are_named(arguments: Sequence[str], keyword: str) -> bool:
    """Return whether the command line names files or scenarios of tests/faults, or a keyword (-k)."""
    return bool(keyword) or any("::" in each or f"{FOLDER}/" in each.rstrip("/") for each in arguments)

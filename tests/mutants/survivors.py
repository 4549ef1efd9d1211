"""The file of mutants that survive, each with the reason why no test should kill it.

A paragraph of the file has a function, its changes, and the reason:

    service.pkg.lru.LRU.get
    - if key in self._items:
    + if key not in self._items:
    Both branches return the same.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Final

from tests.mutants.mutant import Mutant

FILE: Final = Path(__file__).with_name("survivors.txt")
_CHANGE: Final = ("- ", "+ ")


def reasons(text: str) -> dict[Mutant, str]:
    """Return the reason of each mutant; ValueError if a paragraph has no change or no reason."""
    found = {}
    for paragraph in filter(None, text.split("\n\n")):
        lines = [line for line in paragraph.strip().splitlines() if not line.startswith("#")]
        if not lines:
            continue
        change = [line for line in lines[1:] if line.startswith(_CHANGE)]
        reason = lines[1 + len(change) :]
        if not change or not reason or reason[0].startswith(_CHANGE):
            raise ValueError(f"no change, or no reason after it: {lines[0]}")
        found[Mutant(lines[0], "\n".join(change))] = " ".join(reason)
    return found


def paragraphs(mutants: Collection[Mutant]) -> str:
    """Return the mutants as they belong into the file, apart from their reasons."""
    return "\n\n".join(f"{each.function}\n{each.change}" for each in mutants)

"""Detects changes of this checkout's source code."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

_PACKAGES: Final = ("service", "generator", "migrations")
_ROOT: Final = Path(__file__).parents[1]


class Sources:
    """The Python files. If an editor deletes a file before it writes the new one, that counts as two changes."""

    def __init__(self, root: Path = _ROOT, packages: Sequence[str] = _PACKAGES) -> None:
        self._folders = [root / name for name in packages]
        self._last_state = self._state()

    def have_changed(self) -> bool:
        """Return whether a file was written, added or removed since the last call."""
        before, self._last_state = self._last_state, self._state()
        return self._last_state != before

    def _state(self) -> frozenset[tuple[Path, int]]:
        files = (path for folder in self._folders for path in folder.rglob("*.py"))
        return frozenset((path, _modified_at_ns(path)) for path in files)


def _modified_at_ns(path: Path) -> int:
    """Return the modification time; 0 if the file has just been deleted."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0

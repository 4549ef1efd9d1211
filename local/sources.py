"""The code of this installation, looked at for changes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

_PACKAGES: Final = ("service", "generator", "migrations")
_ROOT: Final = Path(__file__).parents[2]


class Sources:
    """Its Python files. An editor may write one by removing it first, which is seen as two changes."""

    def __init__(self, root: Path = _ROOT, packages: Sequence[str] = _PACKAGES) -> None:
        self._folders = [root / name for name in packages]
        self._seen = self._state()

    def have_changed(self) -> bool:
        """Tell whether any was written, added or removed since it was last asked."""
        before, self._seen = self._seen, self._state()
        return self._seen != before

    def _state(self) -> frozenset[tuple[Path, int]]:
        files = (path for folder in self._folders for path in folder.rglob("*.py"))
        return frozenset((path, _written_ns(path)) for path in files)


def _written_ns(path: Path) -> int:
    """Return when it was written; 0 where it has just gone."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0

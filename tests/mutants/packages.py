"""The packages that are mutated, and the unit tests that must detect it."""

from typing import Final, NamedTuple


class Package(NamedTuple):
    """A folder with all folders in it, and the files and folders of its tests."""

    path: str
    tests: tuple[str, ...]


PACKAGES: Final = (
    Package("service/usecases", ("tests/unit/usecases",)),
    Package("service/pkg", ("tests/unit/pkg",)),
    Package("service/repo/listener", ("tests/unit/repo/listener",)),
)

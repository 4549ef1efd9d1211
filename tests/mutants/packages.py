"""The packages that are mutated, and the unit tests that must detect it."""

from typing import Final, NamedTuple


class Package(NamedTuple):
    """A folder with all folders in it, and the files and folders of its tests."""

    path: str
    tests: tuple[str, ...]


_KAFKA: Final = ("tests/unit/handler/kafka", "tests/simulation/test_simulation.py")
_READS: Final = ("tests/unit/repo", "tests/simulation/api/test_api_simulation.py")
PACKAGES: Final = (
    Package("service/usecases", ("tests/unit/usecases",)),
    Package("service/pkg", ("tests/unit/pkg",)),
    Package("service/repo/writer", ("tests/unit/repo",)),
    Package("service/repo/listener", _READS),
    Package("service/repo/reader", _READS),
    Package("service/handler/kafka/consumer", _KAFKA),
    Package("service/handler/kafka/dead_letters", _KAFKA),
    Package("service/handler/kafka/client", _KAFKA),
)

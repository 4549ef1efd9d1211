"""The packages that are mutated, and the unit tests and simulations that must detect it."""

from typing import Final, NamedTuple


class Package(NamedTuple):
    """A folder with all folders in it, and its tests: folders, files and node ids of pytest."""

    path: str
    tests: tuple[str, ...]


_DEAD_LETTERS: Final = ("tests/unit/handler/kafka/dead_letters", "tests/unit/handler/kafka/test_ports.py")
_CONSUMER: Final = "tests/simulation/test_simulation.py::test_no_schedule_of_faults_breaks_a_guarantee[0]"
_API: Final = "tests/simulation/api/test_api_simulation.py::test_no_schedule_of_faults_breaks_a_guarantee[0]"
PACKAGES: Final = (
    Package("service/usecases", ("tests/unit/usecases",)),
    Package("service/pkg", ("tests/unit/pkg",)),
    Package("service/repo/writer", ("tests/unit/repo",)),
    Package("service/repo/listener", ("tests/unit/repo", _API)),
    Package("service/repo/reader", ("tests/unit/repo", _API)),
    Package("service/handler/kafka/consumer", ("tests/unit/handler/kafka/consumer", _CONSUMER)),
    Package("service/handler/kafka/dead_letters", (*_DEAD_LETTERS, _CONSUMER)),
    Package("service/handler/kafka/client", ("tests/unit/handler/kafka", _CONSUMER)),
)

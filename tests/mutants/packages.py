"""The packages that are mutated, and the unit tests that must detect it."""

from typing import Final, NamedTuple


class Package(NamedTuple):
    """A folder with all folders in it, and the files and folders of its tests."""

    path: str
    tests: tuple[str, ...]


PACKAGES: Final = (
    Package(
        "service/usecases",
        (
            "tests/unit/usecases",
            "tests/unit/handler/http/routes",
            "tests/unit/handler/http/test_api.py",
            "tests/unit/handler/kafka/dead_letters",
            "tests/unit/app/commands",
        ),
    ),
    Package("service/pkg", ("tests/unit/pkg", "tests/unit/usecases")),
)

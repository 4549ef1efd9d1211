"""The tree of errors: `service/errors.py` defines every error that leaves its module, and draws them at its top."""

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType

import pytest

import generator
import local
import service
from service import errors
from service.errors import OrdersError

OUTSIDE = {
    "service.handler.http.responses.problems.Problem": (
        "a response that a route raises: FastAPI requires its own HTTPException"
    ),
    "service.repo.passwords.PasswordUnavailable": (
        "an outage of PostgreSQL, which everything that connects handles as an error of psycopg"
    ),
}
_NODE = re.compile(r"^(?P<indent>[│ ]*)[├└]── (?P<name>\w+) +(?P<meaning>\S.+)$", re.MULTILINE)
_INDENT = 4


def test_every_error_that_leaves_its_module_is_defined_in_the_tree() -> None:
    found = {each for package in (service, generator, local) for each in _errors(package) if _leaves_its_module(each)}
    outside = {each for each in found if each.__module__ != errors.__name__}
    assert {f"{each.__module__}.{each.__name__}" for each in outside} == OUTSIDE.keys()


def test_the_drawing_shows_every_error_below_its_base() -> None:
    bases = {each.__name__: each.__bases__[0].__name__ for each in _errors(errors) if each is not OrdersError}
    assert dict(_drawn(errors.__doc__ or "")) == bases


@pytest.mark.parametrize(
    ("error", "package"),
    [(r"KafkaException", ("handler", "kafka")), (r"psycopg\.(Error|errors|\w+Error)\b", ("repo",))],
)
def test_errors_of_a_driver_are_translated_in_its_package(error: str, package: tuple[str, ...]) -> None:
    root = Path(service.__file__).parent
    found = [path.relative_to(root) for path in root.rglob("*.py") if re.search(error, path.read_text("utf-8"))]
    assert found
    assert [path for path in found if path.parts[: len(package)] != package] == []


def test_every_error_is_handled_in_its_own_way() -> None:
    declared = {each.__name__ for each in _errors(errors)}
    folders = [Path(package.__path__[0]) for package in (service, generator, local)]
    sources = [path.read_text("utf-8") for folder in folders for path in folder.rglob("*.py")]
    assert declared - {name for source in sources for name in _handled(source)} == set()


@pytest.mark.parametrize(
    "source",
    [
        "try: ...\nexcept A: ...",
        "try: ...\nexcept (A, B) as error: ...",
        "isinstance(error, A)",
        "retry_if_exception_type(A)",
        "with suppress(A): ...",
    ],
)
def test_an_error_is_handled_where_its_class_is_compared(source: str) -> None:
    assert "A" in _handled(source)
    assert "A" not in _handled("raise A('cannot listen')")


def _handled(source: str) -> set[str]:
    """Return the names in `except` clauses, and in the arguments of functions that compare types of errors."""
    places = list[ast.expr]()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ExceptHandler(type=ast.expr() as kind):
                places.append(kind)
            case ast.Call(func=ast.Name(id="isinstance" | "suppress" | "retry_if_exception_type"), args=arguments):
                places.extend(arguments)
    return {name.id for place in places for name in ast.walk(place) if isinstance(name, ast.Name)}


def _leaves_its_module(error: type[BaseException]) -> bool:
    """Return whether others can catch it: by its name, or as a base class in the tree."""
    return not error.__name__.startswith("_") or issubclass(error, OrdersError)


def _errors(package: ModuleType) -> Iterator[type[BaseException]]:
    for name in _modules(package):
        module = import_module(name)
        for _, each in inspect.getmembers(module, inspect.isclass):
            if issubclass(each, BaseException) and each.__module__ == name:
                yield each


def _modules(package: ModuleType) -> Iterator[str]:
    prefix = package.__name__
    yield prefix
    for module in walk_packages(getattr(package, "__path__", ()), f"{prefix}."):
        if not module.name.endswith("__main__"):
            yield module.name


def _drawn(text: str) -> Iterator[tuple[str, str]]:
    """Yield each name of the drawing and that of its base."""
    path = [OrdersError.__name__]
    for node in _NODE.finditer(text):
        del path[len(node["indent"]) // _INDENT + 1 :]
        yield node["name"], path[-1]
        path.append(node["name"])

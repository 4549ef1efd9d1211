"""One name, one thing, in the packages that a wheel contains.

No two classes or types share a name. In one package, the name of a constant stands for one number.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("service", "generator")


def test_no_two_types_share_a_name() -> None:
    places = defaultdict[str, list[str]](list)
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for name in _types(path.read_text()):
                places[name].append(str(path.relative_to(ROOT)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_two_numbers_of_a_package_share_a_name() -> None:
    values = defaultdict[tuple[Path, str], set[str]](set)
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for name, value in _numbers(path.read_text()):
                values[path.parent.relative_to(ROOT), name].add(value)
    assert len(values) > 100
    assert {place: found for place, found in values.items() if len(found) > 1} == {}


@pytest.mark.parametrize(
    ("source", "numbers"),
    [
        ("MAX_BYTES: Final = 16 * 2**20", [("MAX_BYTES", "16 * 2 ** 20")]),
        ("LIMIT = -1.5", [("LIMIT", "-1.5")]),
        ("_PRIVATE: Final = 1\nNAME: Final = 'text'\nHALF: Final = MAX_BYTES // 2\nlocal = 1", []),
        ("def f():\n    LOCAL = 1", []),
    ],
)
def test_public_constants_of_literals_are_numbers(source: str, numbers: list[tuple[str, str]]) -> None:
    assert [*_numbers(source)] == numbers


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("class Order: ...", ["Order"]),
        ("def f():\n    class Inner: ...", ["Inner"]),
        ("Headers = list[bytes]", ["Headers"]),
        ("Headers: TypeAlias = list[bytes]", ["Headers"]),
        ("MAX_BYTES: Final = 1\nT = TypeVar('T')\n_cache = {}", []),
    ],
)
def test_classes_and_aliases_are_types(source: str, names: list[str]) -> None:
    assert [*_types(source)] == names


def _types(source: str) -> Iterator[str]:
    """Yield the names of classes, and of what a module assigns to a name in CamelCase, such as a type alias."""
    tree = ast.parse(source)
    yield from (node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                if name[0].isupper() and not name.isupper():
                    yield name


def _numbers(source: str) -> Iterator[tuple[str, str]]:
    """Yield the public constants of a module that are numbers, with their expressions."""
    for node in ast.parse(source).body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ) if name.isupper() and name[0] != "_" and all(map(_is_arithmetic, ast.walk(value))):
                yield name, ast.unparse(value)


def _is_arithmetic(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=int() | float()):
            return True
        case _:
            return isinstance(node, ast.BinOp | ast.UnaryOp | ast.operator | ast.unaryop)

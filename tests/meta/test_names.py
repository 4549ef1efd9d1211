"""One name, one thing: no two classes or types of the packages that a wheel contains share a name."""

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

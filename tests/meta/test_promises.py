"""Pages name existing tests, settings and constants, and the defaults of the settings."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from service.config import Settings

ROOT = Path(__file__).parents[2]
PAGES = (
    "docs/commands.md", "docs/delivery.md", "docs/erasure.md", "docs/limits.md", "docs/operations.md",
    "docs/tutorial.md", "docs/verification.md", "SECURITY.md", "README.md",
)  # fmt: skip
SETTING = re.compile(r"`(?:ORDERS_)?([A-Z]+__[A-Z_]+)`")
UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "s": 1, "": 1}


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def rows(page: str) -> Iterator[list[str]]:
    """Yield the cells of each row of a page's tables, heads included."""
    for line in text(page).splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


@cache
def names_of_tests() -> set[str]:
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        functions = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        found |= {each.name for each in functions if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
    return found


def test_every_test_that_verifies_a_guarantee_exists() -> None:
    cells = [row[-1] for row in rows("docs/verification.md")]
    named = {name for cell in cells for name in re.findall(r"`((?:test_)?[\w…]*…[\w…]*)`", cell)}
    assert len(named) >= 40
    names = names_of_tests()
    patterns = {name: re.compile(".*".join(map(re.escape, name.split("…")))) for name in named}
    assert {name for name, pattern in patterns.items() if not any(map(pattern.fullmatch, names))} == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_that_a_page_names_exists(page: str) -> None:
    missing = set()
    for name in SETTING.findall(text(page)):
        group, _, field = name.lower().partition("__")
        if not hasattr(getattr(Settings(), group, None), field) and not name.startswith("KAFKA__PROPERTIES__"):
            missing.add(name)
    assert missing == set()


def test_every_constant_that_the_limits_name_exists() -> None:
    named = set(re.findall(r"`(\w+)\.(_?[A-Z][A-Z_]+)`", text("docs/limits.md")))
    assert len(named) >= 10
    existing = {
        (path.stem, name)
        for path in (ROOT / "service").rglob("*.py")
        for name in re.findall(r"^(_?[A-Z][A-Z_]+)\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert named - existing == set()


def bounds() -> Iterator[tuple[str, str, Any]]:
    """Yield each setting of docs/limits.md with the bound that the page gives, and its default."""
    for cells in rows("docs/limits.md"):
        for name in re.findall(r"`([A-Z_]+__[A-Z_]+)`", cells[2]):
            group, _, field = name.lower().partition("__")
            yield name, cells[1], getattr(getattr(Settings(), group), field)


def test_the_page_of_limits_names_settings() -> None:
    assert len(list(bounds())) >= 15


@pytest.mark.parametrize(("name", "bound", "default"), list(bounds()))
def test_the_bound_of_a_setting_is_its_default(name: str, bound: str, default: float) -> None:
    numbers = re.findall(r"(\d[\d,]*)(?: (B|KiB|MiB|s)\b)?", bound)
    assert default in [int(number.replace(",", "")) * UNITS[unit] for number, unit in numbers], (name, bound)

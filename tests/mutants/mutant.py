"""Reads the mutants that mutmut wrote and their results.

mutmut numbers the mutants of a function, so that an edit renumbers them. Here the changed lines name a mutant.
"""

import ast
import difflib
import json
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple


class Result(Enum):
    KILLED = "killed"
    TIMED_OUT = "timed out"
    UNTESTED = "no unit test"
    """No unit test calls the function."""
    INVALID = "type error"
    """mypy rejects it."""
    SURVIVED = "survived"


_RESULTS: Final = {
    0: Result.SURVIVED,
    1: Result.KILLED,
    3: Result.KILLED,
    -6: Result.KILLED,
    -11: Result.KILLED,
    33: Result.UNTESTED,
    37: Result.INVALID,
    **dict.fromkeys((24, -24, 36, 152, 255), Result.TIMED_OUT),
}
"""By the exit code of pytest or of mutmut's worker."""
_SEPARATOR: Final = "ǁ"
_Function = ast.FunctionDef | ast.AsyncFunctionDef


class Mutant(NamedTuple):
    """One change to a function ("service.pkg.lru.LRU.get"), as lines that start with "- " or "+ "."""

    function: str
    change: str


def results(folder: Path) -> Iterator[tuple[Mutant, Result]]:
    """Yield the mutants of a folder in which mutmut ran. LookupError if mutmut did not decide about one."""
    for meta in sorted(folder.rglob("*.meta")):
        codes: dict[str, int | None] = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
        if codes:
            functions = _functions(meta.with_suffix(""))
            for key, code in codes.items():
                yield _mutant(key, functions), _result(key, code)


def _result(key: str, code: int | None) -> Result:
    if code is None or code not in _RESULTS:
        raise LookupError(f"mutmut did not decide about {key}: exit code {code}")
    return _RESULTS[code]


def _functions(path: Path) -> dict[str, _Function]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    owners: list[ast.Module | ast.ClassDef] = [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef))]
    nodes = [node for owner in owners for node in owner.body]
    return {node.name: node for node in nodes if isinstance(node, _Function)}


def _mutant(key: str, functions: dict[str, _Function]) -> Mutant:
    module, _, name = key.rpartition(".")
    mangled = name.partition("__mutmut_")[0]
    function = mangled.removeprefix("x" + _SEPARATOR).replace(_SEPARATOR, ".") if _SEPARATOR in mangled else mangled[2:]
    original, mutated = functions[f"{mangled}__mutmut_orig"], functions[name]
    return Mutant(f"{module}.{function}", _change(_lines(original), _lines(mutated)))


def _lines(function: _Function) -> list[str]:
    """Return the function without its name, which differs."""
    return [line.strip() for line in ast.unparse(function).replace(function.name, "", 1).splitlines()]


def _change(original: list[str], mutated: list[str]) -> str:
    lines = difflib.ndiff(original, mutated)
    return "\n".join(line.strip() for line in lines if line.startswith(("- ", "+ ")))

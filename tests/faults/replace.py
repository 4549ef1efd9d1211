"""Replaces code that is named by its function and its syntax, so that formatting and other edits do not matter.

In the old code `...` matches any expression, any remaining arguments of a call, or any body of a statement. In the new
code `...` stands for the code that matched. A dict display of one item matches that item of a larger one.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Replacement(NamedTuple):
    """Old and new code in a function ("Class.method"), in a class, or ("") at the top level of a module."""

    path: str
    function: str
    old: str
    new: str

    def apply(self, root: Path) -> None:
        path = root / self.path
        path.write_text(self.replaced(path.read_text(encoding="utf-8")), encoding="utf-8")

    def replaced(self, source: str) -> str:
        """Return the source with the replacement, without comments; LookupError unless it fits exactly once."""
        tree = ast.parse(source)
        places = [*_places(tree, self.function, self.old)]
        if len(places) != 1:
            raise LookupError(f"{self.path}, {self.function or 'top level'}: {len(places)} matches of {self.old!r}")
        places[0].put(self.new)
        return ast.unparse(ast.fix_missing_locations(tree))


class _Place(NamedTuple):
    """Nodes `start` to `end` of a list of nodes, or the node in a field."""

    owner: ast.AST
    field: str
    start: int | None = None
    end: int = 0

    def put(self, new: str) -> None:
        found = getattr(self.owner, self.field)
        if self.start is None:
            setattr(self.owner, self.field, _expanded(_expression(new), found))
        elif isinstance(found[self.start], ast.stmt):
            old = found[self.start : self.end]
            found[self.start : self.end] = _expanded_statements(ast.parse(new).body or [ast.Pass()], old)
        else:
            found[self.start] = _expanded(_expression(new), found[self.start])


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _places(tree: ast.Module, function: str, old: str) -> Iterator[_Place]:
    pattern = ast.parse(old).body
    for owner in ast.walk(_defined(tree, function)) if function else _top_level(tree):
        for field, value in ast.iter_fields(owner):
            yield from _places_in(owner, field, value, pattern)


def _defined(tree: ast.Module, name: str) -> ast.AST:
    found: list[ast.AST] = [tree]
    for part in name.split("."):
        children = [child for node in found for child in ast.iter_child_nodes(node)]
        found = [child for child in children if isinstance(child, _DEFINITIONS) and child.name == part]
    if len(found) != 1:
        raise LookupError(f"{len(found)} definitions of {name}")
    return found[0]


def _top_level(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, _DEFINITIONS):
            yield from _top_level(child)


def _places_in(owner: ast.AST, field: str, value: object, pattern: list[ast.stmt]) -> Iterator[_Place]:
    expression = pattern[0].value if len(pattern) == 1 and isinstance(pattern[0], ast.Expr) else None
    if expression is None:
        if isinstance(value, list):
            for start in range(len(value) - len(pattern) + 1):
                end = start + len(pattern)
                if all(map(_matches, pattern, value[start:end])):
                    yield _Place(owner, field, start, end)
    elif isinstance(value, list):
        for start, node in enumerate(value):
            whole = node.value if isinstance(node, ast.Expr) else node
            if _matches(expression, whole) or _is_item(expression, owner, field, start):
                yield _Place(owner, field, start, start + 1)
    elif _matches(expression, value) and not isinstance(owner, ast.Expr):
        yield _Place(owner, field)


def _is_item(pattern: ast.expr, owner: ast.AST, field: str, number: int) -> bool:
    """Return whether this is the value of the item that the pattern names."""
    if not (isinstance(owner, ast.Dict) and field == "values" and isinstance(pattern, ast.Dict)):
        return False
    return len(pattern.keys) == 1 and _matches(pattern.keys[0], owner.keys[number])


def _matches(pattern: object, node: object) -> bool:
    if _is_ellipsis(pattern):
        return isinstance(node, ast.expr)
    if isinstance(pattern, list):
        return isinstance(node, list) and _match_lists(pattern, node)
    if not isinstance(pattern, ast.AST):
        return pattern == node
    if type(pattern) is not type(node):
        return False
    if isinstance(pattern, ast.Call) and isinstance(node, ast.Call) and pattern.args and _is_ellipsis(pattern.args[-1]):
        given = pattern.args[:-1]
        return _matches(pattern.func, node.func) and _matches(given, node.args[: len(given)])
    return all(_matches(value, getattr(node, name)) for name, value in ast.iter_fields(pattern))


def _match_lists(pattern: list[object], nodes: list[object]) -> bool:
    if len(pattern) == 1 and isinstance(pattern[0], ast.Expr) and _is_ellipsis(pattern[0].value):
        return True
    return len(pattern) == len(nodes) and all(map(_matches, pattern, nodes))


def _is_ellipsis(node: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is Ellipsis


def _expression(text: str) -> ast.expr:
    expression = ast.parse(text, mode="eval").body
    is_item = isinstance(expression, ast.Dict) and len(expression.keys) == 1 and expression.keys[0] is not None
    return expression.values[0] if is_item and isinstance(expression, ast.Dict) else expression


def _expanded(new: ast.expr, matched: ast.expr) -> ast.expr:
    class Expand(ast.NodeTransformer):
        def visit_Constant(self, node: ast.Constant) -> ast.expr:
            return matched if _is_ellipsis(node) else node

    expanded: ast.expr = Expand().visit(new)
    return expanded


def _expanded_statements(new: list[ast.stmt], matched: list[ast.stmt]) -> list[ast.stmt]:
    expanded = []
    for statement in new:
        is_matched = isinstance(statement, ast.Expr) and _is_ellipsis(statement.value)
        expanded.extend(matched if is_matched else [statement])
    return expanded

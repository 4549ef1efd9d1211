"""Each SQL statement of `service/repo` says its purpose and its index; each index, the statements that it serves."""

import ast
import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from service import repo
from service.repo.columns import TABLES
from service.repo.connection import DISABLED_SETTINGS

FOLDER: Final = Path(repo.__path__[0])
SQL: Final = re.compile(r"""f?['"]+(BEGIN|SELECT|UPDATE|INSERT|DELETE|LISTEN|NOTIFY)\b""")
_OUR_TABLES: Final = "|".join([*(table.name for table in TABLES), "schema_releases", r"\{table\.name\}"])
USES_A_TABLE: Final = re.compile(
    rf"(FROM|JOIN|UPDATE|INTO) ({_OUR_TABLES})(?!\w)|FROM_ORDERS|_OLD_ERASURES|DOCUMENTS_OF"
)
"""Matches the source of a statement, which may insert the names of constants."""
STATEMENT: Final = re.compile(r"`(\w+_statement|[A-Z_]+)`")
INDEX_CALL: Final = re.compile(r"Index\('(\w+)'")
INDEX: Final = re.compile(r"orders_[a-z]+_idx")
KEY_OR_INDEX: Final = re.compile(rf"{INDEX.pattern}|primary keys?|unique key|same indexes|no index")


class Documented(NamedTuple):
    """A statement or an index, and what is written below it."""

    name: str
    source: str
    text: str


def statements() -> Iterator[Documented]:
    """Yield the constants that are statements, and the functions that return one."""
    for file in sorted(FOLDER.rglob("*.py")):
        body = ast.parse(file.read_text(encoding="utf-8")).body
        for node, following in zip_longest(body, body[1:]):
            if isinstance(node, ast.AnnAssign) and (source := sql_of(node.value)):
                yield Documented(ast.unparse(node.target), source, text_of(following))
            elif isinstance(node, ast.FunctionDef) and re.fullmatch(r"[a-z]\w*_statement", node.name):
                yield Documented(node.name, ast.unparse(node), ast.get_docstring(node) or "")


def indexes() -> Iterator[Documented]:
    body = ast.parse((FOLDER / "schema" / "tables.py").read_text(encoding="utf-8")).body
    for node, following in zip_longest(body, body[1:]):
        if isinstance(node, ast.Expr) and (call := INDEX_CALL.match(ast.unparse(node))):
            yield Documented(call[1], ast.unparse(node), text_of(following))


def sql_of(value: ast.expr | None) -> str:
    """Return the source of a statement, or of the statements of a list; "" for anything else."""
    source = ast.unparse(value.elt if isinstance(value, ast.ListComp) else value) if value else ""
    return source if SQL.match(source) else ""


def text_of(node: ast.stmt | None) -> str:
    """Return the string that documents the constant before it, or ""."""
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return str(ast.literal_eval(ast.unparse(node))) if node and is_text else ""


@pytest.mark.parametrize("statement", [*statements()], ids=lambda statement: statement.name)
def test_a_statement_says_its_purpose(statement: Documented) -> None:
    assert statement.text


@pytest.mark.parametrize(
    "statement", [each for each in statements() if USES_A_TABLE.search(each.source)], ids=lambda each: each.name
)
def test_a_statement_on_our_tables_names_its_index(statement: Documented) -> None:
    assert KEY_OR_INDEX.search(statement.text)


def test_indexes_and_statements_name_each_other() -> None:
    served = {(index.name, name) for index in indexes() for name in STATEMENT.findall(index.text)}
    used = {(name, statement.name) for statement in statements() for name in INDEX.findall(statement.text)}
    assert served == used
    assert {name for name, _ in served} == {index.name for index in indexes()}


def test_statements_are_found() -> None:
    names = {statement.name for statement in statements() if USES_A_TABLE.search(statement.source)}
    assert names >= {
        "DOCUMENTS_OF",
        "DELETE_CHILDREN",
        "DELETE_ERASED",
        "REPLACE",
        "newest_statement",
        "page_statement",
    }


def test_the_role_of_the_api_has_the_settings_of_its_sessions() -> None:
    roles = (FOLDER.parents[1] / "chart" / "files" / "roles.sql").read_text(encoding="utf-8")
    assert re.findall(r"SET (\w+) = off', read_role", roles) == [*DISABLED_SETTINGS]

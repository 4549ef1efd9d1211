"""Every statement is one that a distributed planner (Citus) accepts and sends to few nodes."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from pkgutil import walk_packages
from typing import Final

import pytest

from service import repo
from service.repo.reader.statements import newest_statement, page_statement
from service.usecases.ports.reads import PageCursor, PageQuery

NOON: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
PREFIX: Final = "service.repo."
OUR_TABLES: Final = "orders|deliveries|payments|items|order_versions"
WITHOUT_MODULES: Final = {
    "schema.tables",
    "schema.migrate",
    "operations.postgres_checks",
    "operations.distribution",
    "listener.listener",
    "listener.listeners",
}
"""They read system catalogs and schema releases, or describe tables."""
PROBLEMS: Final = {
    "FOR UPDATE of many rows": r"ANY.*FOR UPDATE",
    "an empty select list": r"\bSELECT\s+FROM\b",
    "a subquery of a query without tables": r"FROM \(SELECT (?!.*\bFROM\b)[^()]*\bo\.",
    "a function in RETURNING": r"\bRETURNING\b[^;]*\(",
    "a function in DO UPDATE": r"\bDO UPDATE\b[^;]*\(",
    "USING, which joins without the shard": rf"JOIN ({OUR_TABLES})\b[^;]*?\bUSING \((?![^)]*shard)",
}


def statements() -> Iterator[tuple[str, str]]:
    for module in walk_packages(repo.__path__, PREFIX):
        if module.name.removeprefix(PREFIX) not in WITHOUT_MODULES:
            for name, value in vars(import_module(module.name)).items():
                for number, text in enumerate(texts(value)):
                    if isinstance(text, str) and re.match(r"(BEGIN|SELECT|UPDATE|INSERT|DELETE|COPY)\b", text):
                        yield f"{module.name.removeprefix(PREFIX)}.{name}.{number}", text
    yield "newest", newest_statement(5)
    for query in (PageQuery(5), PageQuery(5, PageCursor(1, "a"), "c", "t", NOON, NOON), PageQuery(5, track_number="t")):
        yield f"page {query}", page_statement(query)


def texts(value: object) -> list[object]:
    return [*value.values()] if isinstance(value, dict) else value if isinstance(value, list) else [value]


def problems(statement: str) -> set[str]:
    """Return why a distributed planner would reject the statement, or ask all nodes."""
    text = " ".join(statement.split())
    found = {problem for problem, pattern in PROBLEMS.items() if re.search(pattern, text)}
    if re.search(r"\b(order_id|id) = ANY", text) or re.search(r"id = [nk]\.id(?!.*shard = [nk]\.shard)", text):
        found.add("an id without its shard")
    for table, alias in re.findall(rf"(?:JOIN|FROM) ({OUR_TABLES}) (\w) (?:ON|WHERE)", text):
        if alias != "o" and f"{alias}.shard = o.shard" not in text:
            found.add(f"{table} joined without the shard")
    return found


@pytest.mark.parametrize(("name", "statement"), [*statements()])
def test_a_distributed_planner_accepts_it(name: str, statement: str) -> None:
    assert problems(statement) == set(), name


def test_the_shards_are_named_where_an_order_is_read_and_not_in_batches() -> None:
    names = {name.removesuffix(".0").rpartition(".")[2] for name, text in statements() if "shard = ANY" in text}
    assert names == {"DOCUMENTS_OF", "SUMMARIES_OF"}


def test_statements_are_found() -> None:
    names = " ".join(name for name, _ in statements())
    for name in (
        "VERSIONS_AND_ERASED",
        "UPDATE_VERSION",
        "DOCUMENTS_OF",
        "newest",
        "ESTIMATE",
        "DELETE_ORDERS",
        "DELETE_CHILDREN.2",
        "DELETE_BY_ID",
        "page",
    ):
        assert name in names


@pytest.mark.parametrize(
    "rejected",
    [
        "SELECT order_uid FROM orders WHERE order_uid = ANY(%s) AND shard = ANY(%s) FOR UPDATE",
        "SELECT count(*) FROM (SELECT FROM orders LIMIT 10) o",
        "SELECT row_to_json(x) FROM (SELECT o.order_uid, o.entry) x",
        "DELETE FROM orders WHERE shard = 1 RETURNING upper(order_uid)",
        "INSERT INTO erased SELECT %s ON CONFLICT (order_uid_hash) DO UPDATE SET erased_at = now()",
        "SELECT o.id FROM orders o JOIN payments p USING (order_uid)",
        "SELECT o.id FROM orders o JOIN payments p ON p.order_id = o.id",
        "SELECT (SELECT count(*) FROM items i WHERE i.order_id = o.id) FROM orders o",
        "DELETE FROM items WHERE order_id = ANY(%s)",
        "DELETE FROM orders WHERE id = ANY(%s)",
        "DELETE FROM items WHERE order_id = ANY(%s) AND shard = ANY(%s)",
        "DELETE FROM items t USING unnest(%s) k WHERE t.order_id = k.id AND t.shard = ANY(%s)",
        "UPDATE orders o SET entry = n.entry FROM json_populate_recordset(NULL::orders, %s) n WHERE o.id = n.id",
    ],
)
def test_a_statement_that_a_distributed_planner_rejects_is_reported(rejected: str) -> None:
    assert problems(rejected)

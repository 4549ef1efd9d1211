"""Driver errors become errors of ours, once, here: by SQLSTATE. `docs/delivery.md` has the table.

Only names (table, column, constraint) are taken over; the driver's text holds the values of the failing row.
"""

import re
from typing import Final

import psycopg

from service.entities.errors import OrderRefused, StatementTimedOut, StorageError, StorageUnavailable
from service.repo.columns import TABLES
from service.repo.connection_errors import CONNECTION_FAILED, what_failed

QUERY_CANCELED: Final = "57014"
UNIQUE_VIOLATION: Final = "23505"
_REFUSALS: Final = frozenset({"23502", "23514", "P0001"})
_DATA_EXCEPTION: Final = "22"

_OUR_KEYS: Final = frozenset(", ".join(table.key) for table in TABLES)
"""By their columns: a partition and a shard name the same key otherwise, as an operator may."""
_NAME_OF_A_KEY: Final = re.compile(rf"({'|'.join(table.name for table in TABLES)})(_\w+)?_pkey(_\d+)?")
"""As PostgreSQL names the keys of our tables and of their partitions, and Citus those of their shards."""
_KEY_DETAIL: Final = re.compile(r"[^(]*\((?P<columns>[^()]+)\)=\(")
"""The columns in DETAIL, whatever its language."""
_COPY_CONTEXT: Final = re.compile(
    r"^COPY (?P<table>\w+), line (?P<line>\d+)(?:, column (?P<column>\w+))?", re.MULTILINE
)

PROBLEMS: Final = {
    "08": CONNECTION_FAILED,
    "23": "another writer was first",
    "25": "PostgreSQL is read-only",
    "26": "a prepared statement is gone",
    "40": "the transaction was rolled back in favour of another",
    "42": "the schema or the rights are not what this release needs",
    "53": "PostgreSQL is out of resources",
    "54": "a limit of PostgreSQL is reached",
    "55": "an object is locked or not ready",
    "57": "PostgreSQL is stopping or cancelled the statement",
    "XX": "PostgreSQL reports an internal error",
}


def translate(error: psycopg.Error) -> StorageError:
    """Decide whether the same call can succeed later (StorageUnavailable) or never (OrderRefused)."""
    state = error.sqlstate or ""
    if not state:
        return StorageUnavailable(what_failed(error))
    if _refuses_data(state, error):
        return OrderRefused("PostgreSQL refused the data", sqlstate=state, where=place(error))
    if state == QUERY_CANCELED:
        return StatementTimedOut("a statement took too long", sqlstate=state)
    return StorageUnavailable(PROBLEMS.get(state[:2], "PostgreSQL could not do it"), sqlstate=state)


def copy_line(error: psycopg.Error) -> tuple[str, int] | None:
    """Return the table and the 1-based line that COPY stopped at, where PostgreSQL says so."""
    match = _COPY_CONTEXT.search(error.diag.context or "")
    return (match["table"], int(match["line"])) if match else None


def place(error: psycopg.Error) -> str:
    """Name table, column and constraint, as far as PostgreSQL names them."""
    match = _COPY_CONTEXT.search(error.diag.context or "")
    table = error.diag.table_name or (match and match["table"])
    column = error.diag.column_name or (match and match["column"])
    named = ".".join(filter(None, (table, column)))
    return " ".join(filter(None, (named, error.diag.constraint_name)))


def _refuses_data(state: str, error: psycopg.Error) -> bool:
    if state == UNIQUE_VIOLATION:
        return not _is_our_key(error)
    return state.startswith(_DATA_EXCEPTION) or state in _REFUSALS


def _is_our_key(error: psycopg.Error) -> bool:
    """Tell whether another writer was first; by the key's name where a role may not see the columns' values."""
    if not error.diag.message_detail:
        return _NAME_OF_A_KEY.fullmatch(error.diag.constraint_name or "") is not None
    detail = _KEY_DETAIL.match(error.diag.message_detail)
    return detail is not None and detail["columns"].replace('"', "") in _OUR_KEYS

"""Classifies psycopg errors by SQLSTATE, and translates them into StorageError; `docs/delivery.md` has the table.

Only the names of tables, columns and constraints are copied: the driver's text holds values of the failing row.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import Final

import psycopg

from service.errors import (
    ConcurrentChange,
    InternalError,
    OrderRejected,
    SchemaMismatch,
    StatementTimedOut,
    StorageError,
    StorageUnavailable,
)
from service.repo.columns import DELIVERIES, ITEMS, ORDER_UID_KEY, ORDER_VERSIONS, ORDERS, PAYMENTS, TABLES
from service.repo.connection_errors import CONNECTION_FAILED, describe

_TIMEOUTS: Final = {"57014": "the statement timed out", "25P04": "the transaction timed out"}
"""By SQLSTATE. Since PostgreSQL 17, operators can limit how long a transaction takes."""
UNIQUE_VIOLATION: Final = "23505"
_FOREIGN_KEY_VIOLATION: Final = "23503"
_REJECTIONS: Final = frozenset({"21", "22", "23", "38", "39", "44", "54", "P0"})
"""Classes of errors about the values of a row, raised by a column, a constraint, an index or a trigger."""
_OPERATORS_CLASS: Final = re.compile(r"[5-9I-Z].")
"""The SQL standard leaves these classes to others: those that PostgreSQL does not use come from a trigger."""
_SERVER_CLASSES: Final = frozenset({"53", "55", "57", "58", "72", "XX"})
_SEQUENCE_LIMIT: Final = "2200H"
_SERVER_LIMITS: Final = frozenset(
    {
        "PreCommit_Notify",  # the notification queue is full
        "GetNewTransactionId",  # wraparound of transaction ids
        "GetNewMultiXactId",
        "ExtendBufferedRelShared",  # the maximum size of a table
        "mdextend",
        "mdzeroextend",
        "CommandCounterIncrement",
    }
)
"""PostgreSQL's functions that raise class 54 for another reason than the values of a row."""
_TEMPORARY: Final = ("08", "25006", "40001", "40P01", "53", "55P03", "57P")
"""Connection lost, standby, serialization failure, deadlock, insufficient resources, lock timeout, shutdown."""

_DUPLICATE_PREPARED_STATEMENT: Final = "42P05"
_KINDS: Final[dict[str, type[StorageUnavailable]]] = {
    UNIQUE_VIOLATION: ConcurrentChange,
    "40001": ConcurrentChange,  # serialization failure
    "40P01": ConcurrentChange,  # deadlock
    "42": SchemaMismatch,
    _DUPLICATE_PREPARED_STATEMENT: StorageUnavailable,
    "XX": InternalError,
}
"""Errors by SQLSTATE or its class."""

_KEYS: Final = frozenset(", ".join(key) for key in [ORDER_UID_KEY, *(table.key for table in TABLES)])
"""Keys by their columns, because their names vary: partitions and shards append to them, and operators rename them."""
_KEY_NAME: Final = re.compile(
    rf"({'|'.join(table.name for table in TABLES)})(_\w+)?_pkey(_\d+)?"
    rf"|{ORDERS.name}(_\w+)?_{'_'.join(ORDER_UID_KEY)}_key(_\d+)?"
)
"""Default names of the keys of our tables, of their partitions (PostgreSQL), and of their shards (Citus)."""
_KEY_DETAIL: Final = re.compile(r"[^(]*\((?P<columns>[^()]+)\)=\(")
"""The columns in DETAIL, in any language."""
_CHILD_KEY: Final = ", ".join(DELIVERIES.key)
_CHILD_TABLE: Final = re.compile(
    rf"({'|'.join(table.name for table in (DELIVERIES, PAYMENTS, ITEMS, ORDER_VERSIONS))})(_\w+)?"
)
"""Names of the tables that reference orders, of their partitions, and of their shards."""
_COPY_CONTEXT: Final = re.compile(r"^COPY (?P<table>\w+), \w+ (?P<line>\d+)(?:, \w+ (?P<column>\w+))?", re.MULTILINE)
"""In the languages that name table, line and column in this order; in others, splitting the batch finds the order."""

_CHECKS_ROW_SECURITY: Final = "check_enable_rls"
"""PostgreSQL's function that raises 42501 if row-level security would hide rows."""
_WRONG_CONNECTION: Final = "a pooler switched to a connection with other prepared statements"
_REJECTED: Final = "PostgreSQL rejected the data"
PROBLEMS: Final = {
    "01": "the wait for synchronous replication was canceled: a standby may lack the commit",
    "08": CONNECTION_FAILED,
    _SEQUENCE_LIMIT: "a sequence has reached its maximum value",
    "23001": "a foreign key of another table still references the row",
    _FOREIGN_KEY_VIOLATION: "a foreign key is violated: a row is missing, or a row to delete is still referenced",
    UNIQUE_VIOLATION: "another writer inserted the same key first",
    "25": "the state of the transaction does not allow the statement",
    "25006": "PostgreSQL is read-only",
    "25P03": "the client stalled in a transaction, so PostgreSQL ended the session",
    "26": _WRONG_CONNECTION,
    "40": "the transaction was rolled back (deadlock or serialization failure)",
    _DUPLICATE_PREPARED_STATEMENT: _WRONG_CONNECTION,
    "42": "the schema or the role's privileges do not match this release",
    "53": "PostgreSQL has insufficient resources",
    "54": "a limit of PostgreSQL is reached: a full notification queue, or the wraparound of transaction ids",
    "55": "an object is locked or not in the required state",
    "57": "PostgreSQL is shutting down or canceled the statement",
    "57P05": "the session was idle for too long, so PostgreSQL ended it",
    "58": "the operating system reported an error to PostgreSQL, such as an unreadable file",
    "XX": "PostgreSQL reported an internal error",
}
"""Problems by SQLSTATE or its class."""
ROW_SECURITY: Final = "row-level security hides rows from the role: give it BYPASSRLS, or disable the policies"


class Failure(Enum):
    """The kind of an error of PostgreSQL."""

    NO_RESPONSE = auto()
    """The error has no SQLSTATE: PostgreSQL is unreachable, or the client failed before it sent anything."""
    DATA_REJECTED = auto()
    """The data violates a type, a constraint or a rule of a trigger, or does not fit an index: it fails again."""
    TIMEOUT = auto()
    """A statement or a transaction took too long."""
    TEMPORARY = auto()
    """The server or its load is the cause: the same statement succeeds later."""
    OTHER = auto()
    """Anything else, such as a missing table or privilege."""


def classify(error: psycopg.Error) -> Failure:
    state = error.sqlstate or ""
    if not state:
        return Failure.NO_RESPONSE
    if _rejects_data(state, error):
        return Failure.DATA_REJECTED
    if state in _TIMEOUTS:
        return Failure.TIMEOUT
    return Failure.TEMPORARY if state.startswith(_TEMPORARY) else Failure.OTHER


def translate(error: psycopg.Error, rejected: int | None = None) -> StorageError:
    """Return OrderRejected (permanent), StatementTimedOut (half may succeed) or StorageUnavailable (temporary).

    `rejected` is the index of the order that caused the error, if it is known.
    """
    state = error.sqlstate or ""
    match classify(error):
        case Failure.NO_RESPONSE:
            return StorageUnavailable(describe(error))
        case Failure.DATA_REJECTED:
            return OrderRejected(PROBLEMS.get(state, _REJECTED), sqlstate=state, where=location(error), index=rejected)
        case Failure.TIMEOUT:
            return StatementTimedOut(_TIMEOUTS[state], sqlstate=state)
    if error.diag.source_function == _CHECKS_ROW_SECURITY:
        return SchemaMismatch(ROW_SECURITY, sqlstate=state)
    kind = _KINDS.get(state) or _KINDS.get(state[:2], StorageUnavailable)
    return kind(PROBLEMS.get(state) or PROBLEMS.get(state[:2], "PostgreSQL reported an error"), sqlstate=state)


@contextmanager
def translated() -> Iterator[None]:
    """Raise a StorageError for each psycopg.Error of the block."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error) from error


def copy_line(error: psycopg.Error) -> tuple[str, int] | None:
    """Return the table and the 1-based line that COPY failed on, if PostgreSQL names them."""
    match = _COPY_CONTEXT.search(error.diag.context or "")
    return (match["table"], int(match["line"])) if match else None


def location(error: psycopg.Error) -> str:
    """Return the table, column and constraint, as far as PostgreSQL names them."""
    match = _COPY_CONTEXT.search(error.diag.context or "")
    table = error.diag.table_name or (match and match["table"])
    column = error.diag.column_name or (match and match["column"])
    named = ".".join(filter(None, (table, column)))
    return " ".join(filter(None, (named, error.diag.constraint_name)))


def _rejects_data(state: str, error: psycopg.Error) -> bool:
    if state == UNIQUE_VIOLATION:
        return not _is_our_key(error)
    if state == _FOREIGN_KEY_VIOLATION:
        return not _is_our_foreign_key(error)
    if state == _SEQUENCE_LIMIT or error.diag.source_function in _SERVER_LIMITS:
        return False
    return state[:2] in _REJECTIONS or _is_raised_by_trigger(state)


def _is_raised_by_trigger(state: str) -> bool:
    return _OPERATORS_CLASS.match(state) is not None and state[:2] not in _SERVER_CLASSES


def _is_our_foreign_key(error: psycopg.Error) -> bool:
    """Return whether an order is missing for a child row: someone else has deleted it."""
    detail = _KEY_DETAIL.match(error.diag.message_detail or "")
    is_child = _CHILD_TABLE.fullmatch(error.diag.table_name or "") is not None
    return is_child and (detail is None or detail["columns"] == _CHILD_KEY)


def _is_our_key(error: psycopg.Error) -> bool:
    """Return whether another writer inserted the key first. Without DETAIL (missing privileges), the name decides."""
    if not error.diag.message_detail:
        return _KEY_NAME.fullmatch(error.diag.constraint_name or "") is not None
    detail = _KEY_DETAIL.match(error.diag.message_detail)
    return detail is not None and detail["columns"].replace('"', "") in _KEYS

"""Errors of PostgreSQL are permanent or temporary, and their text contains no value of a row."""

from contextlib import suppress
from typing import Any

import psycopg
import pytest
from psycopg.errors import lookup

from service.errors import (
    ConcurrentChange,
    InternalError,
    OrderRejected,
    SchemaMismatch,
    StatementTimedOut,
    StorageError,
    StorageUnavailable,
)
from service.repo import translate as module
from service.repo.translate import Failure, classify, copy_line, location, translate

TLS = "TLS handshake failed: "
PERMANENT = [
    "22001",  # string data right truncation
    "22003",  # numeric value out of range
    "22007",  # invalid datetime format
    "22008",  # datetime field overflow
    "22021",  # character not in repertoire
    "22P02",  # invalid text representation
    "22P04",  # bad copy file format
    "22P05",  # untranslatable character
    "21000",  # a subquery of a trigger returned several rows
    "23000", "23001", "23502", "23503", "23514", "23P01",  # constraints
    "38000", "39004", "44000",
    "54000",  # the row does not fit an index
    "54001",  # a trigger recurses too deeply
    "P0001", "P0002", "P0004",  # PL/pgSQL
    "99999", "ORD01",  # of a trigger's own
]  # fmt: skip
PASSING = [
    "08000", "08001", "08003", "08006", "08P01",  # connection
    "25006",  # read-only transaction: a standby
    "26000", "42P05",  # a prepared statement is gone, or exists already: a pooler
    "53000", "53100", "53200", "53300",  # disk full, memory, connections
    "2200H",  # a sequence is exhausted
    "55000", "55006", "55P03",  # lock not available
    "57P01", "57P02", "57P03", "57P05",  # shutdown, crash, starting up
    "58000", "58030", "58P01",  # the operating system
    "0A000",  # cached plan must not change result type
    "28P01", "3D000",  # password, database: an operator has to act
]  # fmt: skip


OUTAGES = {
    "40001": ConcurrentChange,  # serialization failure
    "40P01": ConcurrentChange,  # deadlock
    "42501": SchemaMismatch,  # privileges
    "42703": SchemaMismatch,  # column
    "42P01": SchemaMismatch,  # table
    "XX000": InternalError,
    "XX001": InternalError,  # damaged data
}
"""Kinds of StorageUnavailable, by SQLSTATE."""


class Diagnostics:
    """What psycopg says about an error."""

    def __init__(self, **diagnostics: str) -> None:
        self.diagnostics = diagnostics

    def __getattr__(self, name: str) -> str | None:
        return self.diagnostics.get(name)


def error(state: str | None, **diagnostics: str) -> psycopg.Error:
    """Return the error that psycopg raises for that SQLSTATE, holding a value in its text."""
    kind: type[psycopg.Error] = psycopg.OperationalError if state is None else psycopg.DatabaseError
    with suppress(KeyError):  # a trigger's own
        kind = lookup(state or "")

    class ErrorWithDiagnostics(kind):  # type: ignore[misc,valid-type]
        diag: Any = Diagnostics(**diagnostics)

    made: psycopg.Error = ErrorWithDiagnostics("Failing row contains (Test Testov, +9720000000)")
    made.sqlstate = state
    return made


@pytest.mark.parametrize("state", PERMANENT)
def test_rejected_data_is_a_permanent_error(state: str) -> None:
    refusal = translate(error(state))
    assert isinstance(refusal, OrderRejected)
    assert refusal.sqlstate == state


@pytest.mark.parametrize("state", PASSING)
def test_other_errors_are_temporary(state: str) -> None:
    failure = translate(error(state))
    assert type(failure) is StorageUnavailable
    assert failure.sqlstate == state


@pytest.mark.parametrize(("state", "kind"), OUTAGES.items())
def test_a_lost_race_a_missing_migration_and_an_internal_error_have_types(state: str, kind: type[StorageError]) -> None:
    failure = translate(error(state))
    assert type(failure) is kind
    assert failure.sqlstate == state


@pytest.mark.parametrize("function", ["PreCommit_Notify", "GetNewTransactionId", "mdextend"])
def test_a_limit_of_the_server_is_temporary(function: str) -> None:
    failure = translate(error("54000", source_function=function))
    assert type(failure) is StorageUnavailable
    assert failure.problem.startswith("a limit of PostgreSQL is reached")


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        ("23001", "a foreign key of another table still references the row"),
        ("23503", "a foreign key is violated: a row is missing, or a row to delete is still referenced"),
        ("23P01", "PostgreSQL rejected the data"),
    ],
)
def test_a_violated_foreign_key_is_named(state: str, problem: str) -> None:
    assert translate(error(state)).problem == problem


@pytest.mark.parametrize(
    "diagnostics",
    [
        {
            "table_name": "deliveries",
            "message_detail": 'Key (order_id, shard)=(1, 7) is not present in table "orders".',
        },
        {"table_name": "items_p1", "message_detail": "Schlüssel »(order_id, shard)=(1, 7)« fehlt."},
        {"table_name": "order_versions_102008", "message_detail": "Key is not present in table."},
        {"table_name": "payments"},
    ],
)
def test_a_child_row_of_a_deleted_order_is_temporary(diagnostics: dict[str, str]) -> None:
    assert type(translate(error("23503", **diagnostics))) is StorageUnavailable


@pytest.mark.parametrize(
    "diagnostics",
    [
        {"table_name": "orders", "message_detail": 'Key (customer_id)=(Test) is not present in table "customers".'},
        {"table_name": "deliveries", "message_detail": 'Key (zip)=(Test) is not present in table "places".'},
        {
            "table_name": "notes",
            "message_detail": 'Key (order_id, shard)=(1, 7) is still referenced from table "notes".',
        },
    ],
)
def test_a_violated_foreign_key_of_the_operator_is_permanent(diagnostics: dict[str, str]) -> None:
    assert isinstance(translate(error("23503", **diagnostics)), OrderRejected)


@pytest.mark.parametrize(
    ("state", "failure"),
    [
        ("08006", Failure.TEMPORARY),
        ("25006", Failure.TEMPORARY),
        ("40001", Failure.TEMPORARY),
        ("40P01", Failure.TEMPORARY),
        ("53300", Failure.TEMPORARY),
        ("55P03", Failure.TEMPORARY),
        ("57P01", Failure.TEMPORARY),
        ("57014", Failure.TIMEOUT),
        ("23514", Failure.DATA_REJECTED),
        ("28P01", Failure.OTHER),
        ("42501", Failure.OTHER),
        ("42P07", Failure.OTHER),
        ("55006", Failure.OTHER),
        ("XX000", Failure.OTHER),
        (None, Failure.NO_RESPONSE),
    ],
)
def test_a_migration_waits_for_a_server_but_not_for_a_fix(state: str | None, failure: Failure) -> None:
    assert classify(error(state)) is failure


def test_an_error_without_sqlstate_is_temporary() -> None:
    failure = translate(error(None))
    assert type(failure) is StorageUnavailable
    assert str(failure) == "the connection to PostgreSQL failed"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SSL error: certificate verify failed", "TLS handshake failed: the server's certificate is not trusted"),
        (
            'server certificate for "a" does not match host name "b"',
            "TLS handshake failed: the server's certificate is for another host name",
        ),
        (
            "server does not support SSL, but SSL was required",
            f"{TLS}the server does not support TLS, which sslmode requires",
        ),
        (
            "SSL error: tlsv13 alert certificate required",
            f"{TLS}the server rejected the client certificate",
        ),
        (
            'FATAL:  password authentication failed for user "a"\nFATAL:  no pg_hba.conf entry for host, no encryption',
            "authentication failed: wrong or missing password",
        ),
        (
            'root certificate file "/a" does not exist',
            "TLS handshake failed: cannot read the CA certificate (sslrootcert)",
        ),
    ],
)
def test_a_connection_error_names_its_cause(text: str, words: str) -> None:
    assert str(translate(psycopg.OperationalError(text))) == f"the connection to PostgreSQL failed: {words}"


@pytest.mark.parametrize(
    "text", ["SSL error: unexpected eof while reading", "SSL connection has been closed unexpectedly"]
)
def test_a_reset_tls_connection_is_not_a_tls_error(text: str) -> None:
    assert str(translate(psycopg.OperationalError(text))) == "the connection to PostgreSQL failed"


@pytest.mark.parametrize(
    ("sqlstate", "text"), [("57014", "the statement timed out"), ("25P04", "the transaction timed out")]
)
def test_a_timeout_of_a_statement_or_a_transaction_is_a_timeout(sqlstate: str, text: str) -> None:
    timed_out = translate(error(sqlstate))
    assert type(timed_out) is StatementTimedOut
    assert timed_out.problem == text


@pytest.mark.parametrize(
    "diagnostics",
    [
        {
            "constraint_name": "orders_order_uid_shard_key",
            "message_detail": "Key (order_uid, shard)=(Test, 7) already exists.",
        },
        {"constraint_name": "orders_pkey", "message_detail": "Key (id, shard)=(1, 7) already exists."},
        {"constraint_name": "orders_p1_pkey", "message_detail": "Key (id, shard)=(1, 7) already exists."},
        {
            "constraint_name": "items_pkey_102008",
            "message_detail": 'Key (order_id, "position", shard)=(1, 0, 7) already exists.',
        },
        {"constraint_name": "renamed", "message_detail": "Schlüssel »(order_uid, shard)=(Test, 7)« existiert bereits."},
        {"constraint_name": "orders_order_uid_shard_key"},
        {"constraint_name": "orders_p1_order_uid_shard_key"},
        {"constraint_name": "orders_order_uid_shard_key_102008"},
        {"constraint_name": "deliveries_pkey"},
        {"constraint_name": "payments_p12_pkey"},
        {"constraint_name": "items_pkey_102008"},
        {"constraint_name": "erased_pkey", "message_detail": "Key (order_uid_hash)=(\\\\x00) already exists."},
    ],
)
def test_a_duplicate_key_of_the_schema_is_a_concurrent_change(diagnostics: dict[str, str]) -> None:
    assert type(translate(error("23505", **diagnostics))) is ConcurrentChange


@pytest.mark.parametrize(
    "diagnostics",
    [
        {"constraint_name": "one_track_number"},
        {"constraint_name": "one_track_number", "message_detail": "Key (track_number)=(Test) already exists."},
        {"constraint_name": "orders_pkey", "message_detail": "Key (order_uid, entry)=(Test, W) already exists."},
        {"constraint_name": "no_case", "message_detail": "Key (lower(order_uid::text))=(test) already exists."},
        {"constraint_name": "orders_pkey", "message_detail": "Key (lower(entry))=((order_uid)=(a)) already exists."},
        {},
    ],
)
def test_a_violated_constraint_of_the_operator_is_permanent(diagnostics: dict[str, str]) -> None:
    assert isinstance(translate(error("23505", **diagnostics)), OrderRejected)


@pytest.mark.parametrize("state", [*PERMANENT, *PASSING, *OUTAGES, "57014", "23505", None])
def test_the_text_names_the_sqlstate_and_no_value(state: str | None) -> None:
    failure = translate(error(state, table_name="orders", column_name="entry", constraint_name="orders_check"))
    assert isinstance(failure, StorageError)
    assert (state or "PostgreSQL") in str(failure)
    for text in (str(failure), repr(failure), failure.problem, getattr(failure, "where", "")):
        assert "Testov" not in text


def test_a_prepared_statement_that_exists_already_has_the_cause_of_one_that_is_missing() -> None:
    assert translate(error("42P05")).problem == translate(error("26000")).problem != translate(error("42P01")).problem


def test_a_session_that_was_idle_for_too_long_does_not_look_like_a_read_only_server() -> None:
    assert translate(error("25P03")).problem == "the client stalled in a transaction, so PostgreSQL ended the session"


def test_every_temporary_sqlstate_class_has_its_own_text() -> None:
    for state in [*PASSING, *OUTAGES]:
        if state[:2] not in {"0A", "28", "3D"}:
            assert {state, state[:2]} & {*module.PROBLEMS}


@pytest.mark.parametrize(
    ("context", "line"),
    [
        ('COPY items, line 17, column sale: "x"', ("items", 17)),
        ("COPY orders, line 1", ("orders", 1)),
        ("COPY orders, Zeile 12, Spalte entry: »x«", ("orders", 12)),
        ('COPY orders, line 2: "uid\\tTest"', ("orders", 2)),
        ('PL/pgSQL function f() line 3 at RAISE\nCOPY deliveries, line 5, column name: "Test"', ("deliveries", 5)),
        ('while inserting index tuple (0,1) in relation "orders"', None),
        ("", None),
    ],
)  # fmt: skip
def test_the_failed_copy_line_is_parsed_from_the_context(context: str, line: tuple[str, int] | None) -> None:
    assert copy_line(error("22001", context=context)) == line


@pytest.mark.parametrize(
    ("diagnostics", "where"),
    [
        ({}, ""),
        ({"context": 'COPY items, line 17, column sale: "Testov"'}, "items.sale"),
        ({"context": "COPY items, ligne 17, colonne sale : « Testov »"}, "items.sale"),
        ({"context": 'COPY items, line 17: "Testov"'}, "items"),
        ({"table_name": "orders", "constraint_name": "orders_check"}, "orders orders_check"),
        ({"table_name": "orders", "column_name": "entry"}, "orders.entry"),
        ({"constraint_name": "orders_check"}, "orders_check"),
    ],
)
def test_the_location_contains_only_names(diagnostics: dict[str, str], where: str) -> None:
    assert location(error("23514", **diagnostics)) == where

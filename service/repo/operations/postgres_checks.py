"""Checks of PostgreSQL for `orders doctor`.

Each returns a description. Raises CheckFailed, StorageError or CommandFailed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow

from service.errors import CheckFailed
from service.pkg.network import resolution_problem
from service.pkg.timestamps import from_microseconds
from service.repo.columns import TABLES
from service.repo.connection import SERVER, is_pooled, require_utf8
from service.repo.connection_errors import describe_with_address
from service.repo.conninfo import conninfo_of
from service.repo.document import microseconds
from service.repo.schema.migrate import head_number, schema_number
from service.repo.schema.missing_columns import missing_columns
from service.repo.schema.rights import READING, WRITING, denied
from service.repo.schema.visible_tables import search_path_problem
from service.repo.translate import ROW_SECURITY, translated

if TYPE_CHECKING:
    from service.config import PostgresSettings

MAX_CLOCK_SKEW_SECONDS: Final = 5.0
"""A larger skew breaks the comparison of versions and the check of `date_created`."""

CLOCK: Final = f"SELECT {microseconds('clock_timestamp()')}"
"""The time of the statement, not of the transaction. A number, because psycopg cannot parse every `DateStyle`."""

HIDDEN_ROWS: Final = "SELECT name FROM unnest(%s::text[]) name WHERE row_security_active(name) ORDER BY name"
"""The tables with row-level security for the current role."""
FIRE_TRIGGERS: Final = "SELECT current_setting('session_replication_role') <> 'replica'"
"""Whether the triggers of foreign keys fire."""


def host_names(postgres: "PostgresSettings") -> str:
    names = str(conninfo_to_dict(postgres.dsn).get("host") or "").split(",")
    hosts = [host for host in names if host and not host.startswith("/")]
    if problem := resolution_problem(hosts):
        raise CheckFailed(problem)
    return ", ".join(hosts) or "local socket"


def server(postgres: "PostgresSettings") -> str:
    with connect(postgres.dsn, postgres) as connection:
        require_utf8(connection)
        major, minor = divmod(connection.info.server_version, 10_000)
        row = connection.execute(SERVER).fetchone()
        backend, is_standby = row or (0, False)
        route = ["standby"] * is_standby + ["through a pooler"] * is_pooled(connection, backend)
        return ", ".join([f"{major}.{minor}", *route, f"{'with' if connection.pgconn.ssl_in_use else 'without'} TLS"])


def schema(postgres: "PostgresSettings") -> str:
    number, wanted = schema_number(conninfo_of(postgres)), head_number()
    if number < wanted:
        raise CheckFailed(f"version {number:04}, but this release needs {wanted:04}")
    return f"version {number:04}, this release needs {wanted:04}"


def columns(postgres: "PostgresSettings") -> str:
    with connect(postgres.dsn, postgres) as connection:
        if problem := search_path_problem(connection):
            raise CheckFailed(problem)
        missing = missing_columns(connection)
    if missing:
        raise CheckFailed(f"missing: {', '.join(missing)}")
    return "the tables have all columns of this release"


def privileges(postgres: "PostgresSettings", mode: str | None) -> str:
    wanted = READING | WRITING if mode == "consumer" else READING
    with connect(postgres.dsn, postgres) as connection:
        missing, can_write = denied(connection, wanted), not denied(connection, WRITING)
    if missing:
        raise CheckFailed(f"permission denied: {', '.join(f'{privilege} on {table}' for table, privilege in missing)}")
    return "can read and write orders" if can_write else "can only read orders"


def session(postgres: "PostgresSettings") -> str:
    """Check what would hide rows, or leave rows of erased orders."""
    with connect(postgres.dsn, postgres) as connection:
        hidden = [name for (name,) in connection.execute(HIDDEN_ROWS, [[table.name for table in TABLES]])]
        row = connection.execute(FIRE_TRIGGERS).fetchone()
    if hidden:
        raise CheckFailed(f"{', '.join(hidden)}: {ROW_SECURITY}")
    if row != (True,):
        raise CheckFailed("session_replication_role is replica: PostgreSQL does not enforce foreign keys")
    return "no row-level security, and foreign keys are enforced"


def clock_skew(postgres: "PostgresSettings") -> str:
    with connect(postgres.dsn, postgres) as connection:
        before = datetime.now(UTC)
        row = connection.execute(CLOCK).fetchone()
        after = datetime.now(UTC)
    assert row is not None  # noqa: S101 - for the type checker
    skew = (from_microseconds(row[0]) - (before + (after - before) / 2)).total_seconds()
    if abs(skew) > MAX_CLOCK_SKEW_SECONDS:
        raise CheckFailed(f"PostgreSQL's clock differs from the local clock by {skew:+.1f} s")
    return f"PostgreSQL's clock differs from the local clock by {skew:+.3f} s"


@contextmanager
def connect(dsn: str, postgres: "PostgresSettings") -> Iterator[psycopg.Connection[TupleRow]]:
    """Yield a connection, and translate the errors of the block. Raises CheckFailed and StorageError.

    CheckFailed: the server is unreachable or refuses the connection.
    """
    with translated(), _open(dsn, postgres) as connection:
        yield connection


def _open(dsn: str, postgres: "PostgresSettings") -> psycopg.Connection[TupleRow]:
    conninfo = conninfo_of(postgres, dsn)
    try:
        return psycopg.connect(conninfo.resolve(), connect_timeout=conninfo.whole_connect_timeout, autocommit=True)
    except psycopg.OperationalError as error:
        raise CheckFailed(describe_with_address(error, dsn)) from None

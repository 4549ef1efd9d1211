"""Databases of a measurement's own, each a copy of another one."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.errors import InsufficientPrivilege
from psycopg.sql import SQL, Composed, Identifier

from bench.context import Context
from bench.processes import child
from service.pkg.shutdown_event import ShutdownEvent

TABLES: Final = ("orders", "deliveries", "payments", "items")
"""In the order in which their rows can come."""

_MIGRATION_SECONDS: Final = 60.0
_STORED: Final = SQL("SELECT count(*) FROM orders")
_COLUMNS: Final = """\
SELECT column_name FROM information_schema.columns
WHERE table_schema = current_schema AND table_name = %s AND column_default IS NULL ORDER BY ordinal_position"""


@dataclass(frozen=True)
class Database:
    name: str
    dsn: str
    server: str
    """Connection string of the maintenance database."""

    def close(self) -> None:
        """Refuse new connections; existing ones remain."""
        _administer(self.server, SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(Identifier(self.name)))

    def open(self) -> None:
        _administer(self.server, SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(Identifier(self.name)))

    def stored(self) -> int:
        """Return how many orders it holds."""
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute(_STORED).fetchone()
        return row[0] if row else 0

    def columns(self, table: str) -> list[str]:
        """Return the tables that a writer fills, in order."""
        with psycopg.connect(self.dsn) as connection:
            return [name for (name,) in connection.execute(_COLUMNS, [table])]


@contextmanager
def migrated(context: Context) -> Iterator[Database]:
    """Yield a database with this release's schema and no order, to be copied; dropped at the end."""
    with copied(context, "template1") as template:
        settings = {"ORDERS_POSTGRES__DSN": template.dsn, "ORDERS_KAFKA__CREATE_TOPICS": "false"}
        child(context, "orders migrate", ["service", "migrate"], settings).run(_MIGRATION_SECONDS, ShutdownEvent())
        yield template


@contextmanager
def copied(context: Context, template: str) -> Iterator[Database]:
    """Yield a copy of `template`, which must have no connections; dropped at the end.

    The server checkpoints first, so that earlier writes cost the measurement nothing.
    """
    name = f"orders_bench_{uuid4().hex[:12]}"
    _administer(context.dsn, SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(template)))
    try:
        checkpoint(context)
        yield Database(name, make_conninfo(context.dsn, dbname=name), context.dsn)
    finally:
        _administer(context.dsn, SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def checkpoint(context: Context) -> None:
    """Have the server write what it still has to; one that does not let us does it when it likes."""
    with suppress(InsufficientPrivilege):
        _administer(context.dsn, SQL("CHECKPOINT"))


def _administer(dsn: str, statement: SQL | Composed) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement)

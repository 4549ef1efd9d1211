"""Databases for one measurement each, created from a template."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final, LiteralString
from uuid import uuid4

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.errors import InsufficientPrivilege
from psycopg.sql import SQL, Composed, Identifier

from bench.context import Context
from bench.processes import child
from service.pkg.shutdown_event import ShutdownEvent

ID_COLUMNS: Final = {"orders": "id", "deliveries": "order_id", "payments": "order_id", "items": "order_id"}
"""The column of each table that has the order's id. In an order of insertion that satisfies the foreign keys."""
TABLES: Final = tuple(ID_COLUMNS)

_MIGRATION_TIMEOUT_SECONDS: Final = 60.0
_COUNT_ORDERS: Final = "SELECT count(*) FROM orders"
_GREATEST_ID: Final = "SELECT max(id) FROM orders"
_COLUMNS: Final = """\
SELECT column_name FROM information_schema.columns
WHERE table_schema = current_schema AND table_name = %s AND (column_default IS NULL OR column_name = 'id')
ORDER BY ordinal_position"""


@dataclass(frozen=True)
class Database:
    name: str
    dsn: str
    server: str
    """Connection string of the maintenance database."""

    def refuse_connections(self) -> None:
        """Refuse new connections; existing ones stay open."""
        _administer(self.server, SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(Identifier(self.name)))

    def allow_connections(self) -> None:
        _administer(self.server, SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(Identifier(self.name)))

    def stored(self) -> int:
        """Return the number of orders."""
        return self._number(_COUNT_ORDERS)

    def greatest_id(self) -> int:
        """Return the greatest id of an order; there must be one."""
        return self._number(_GREATEST_ID)

    def columns(self, table: str) -> list[str]:
        """Return the columns that the consumer writes: the id, and those without a default."""
        with psycopg.connect(self.dsn) as connection:
            return [name for (name,) in connection.execute(_COLUMNS, [table])]

    def _number(self, query: LiteralString) -> int:
        with psycopg.connect(self.dsn) as connection:
            [(number,)] = connection.execute(query).fetchall()
        return int(number)


@contextmanager
def migrated(context: Context) -> Iterator[Database]:
    """Yield an empty database with this release's schema, to use as a template; it is dropped at the end."""
    with copied(context, "template1") as template:
        settings = {"ORDERS_POSTGRES__DSN": template.dsn, "ORDERS_KAFKA__CREATE_TOPICS": "false"}
        command = child(context, "orders migrate", ["service", "migrate"], settings)
        command.run(_MIGRATION_TIMEOUT_SECONDS, ShutdownEvent())
        yield template


@contextmanager
def copied(context: Context, template: str) -> Iterator[Database]:
    """Yield a copy of `template`, which must have no connections; the copy is dropped at the end.

    The server does a checkpoint first, so that flushing earlier writes does not slow the measurement.
    """
    name = f"orders_bench_{uuid4().hex[:12]}"
    _administer(context.dsn, SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(template)))
    try:
        checkpoint(context)
        yield Database(name, make_conninfo(context.dsn, dbname=name), context.dsn)
    finally:
        _administer(context.dsn, SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def checkpoint(context: Context) -> None:
    """Do a checkpoint, if the role has the privilege."""
    with suppress(InsufficientPrivilege):
        _administer(context.dsn, SQL("CHECKPOINT"))


def _administer(dsn: str, statement: SQL | Composed) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement)

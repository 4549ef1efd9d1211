"""What a mode has to be allowed to do to which table. roles.sql grants just this, `orders doctor` asks for it."""

from collections.abc import Collection
from typing import Any, Final

import psycopg

Right = tuple[str, str]
"""A table and one thing to do to it."""

_WRITTEN: Final = {
    "orders": ("INSERT", "UPDATE"),
    "deliveries": ("INSERT", "DELETE"),
    "payments": ("INSERT", "DELETE"),
    "items": ("INSERT", "DELETE"),
}
READING: Final = frozenset((table, "SELECT") for table in (*_WRITTEN, "erased", "schema_releases"))
WRITING: Final = frozenset((table, how) for table, hows in _WRITTEN.items() for how in hows)

DENIED: Final = """\
SELECT name, how FROM unnest(%s::text[], %s::text[]) AS wanted (name, how)
WHERE NOT has_table_privilege(name, how) ORDER BY name, how"""
"""Which of these rights our role lacks."""


def denied(connection: psycopg.Connection[Any], wanted: Collection[Right]) -> list[Right]:
    """Return what the connection's role may not do. Raises psycopg.Error, also where a table is not there."""
    return connection.execute(DENIED, [[table for table, _ in wanted], [how for _, how in wanted]]).fetchall()

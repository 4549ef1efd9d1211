"""The privileges that each mode needs. roles.sql grants exactly these; `orders doctor` checks them."""

from collections.abc import Collection
from typing import Any, Final

import psycopg

Right = tuple[str, str]
"""A table or sequence, and a privilege."""

_WRITTEN: Final = {
    "orders": ("INSERT", "UPDATE"),
    "deliveries": ("INSERT", "DELETE"),
    "payments": ("INSERT", "DELETE"),
    "items": ("INSERT", "DELETE"),
    "order_versions": ("INSERT", "DELETE"),
}
READING: Final = frozenset((table, "SELECT") for table in (*_WRITTEN, "erased", "schema_releases"))
WRITING: Final = frozenset(
    [("orders_id_seq", "USAGE"), *((table, how) for table, hows in _WRITTEN.items() for how in hows)]
)

DENIED: Final = """\
SELECT name, how FROM unnest(%s::text[], %s::text[]) AS wanted (name, how)
WHERE NOT CASE how WHEN 'USAGE' THEN has_sequence_privilege(name, how) ELSE has_table_privilege(name, how) END
ORDER BY name, how"""
"""The privileges that the current role lacks."""


def denied(connection: psycopg.Connection[Any], wanted: Collection[Right]) -> list[Right]:
    """Return the privileges that the connection's role lacks. Raises psycopg.Error if a table is missing."""
    return connection.execute(DENIED, [[table for table, _ in wanted], [how for _, how in wanted]]).fetchall()

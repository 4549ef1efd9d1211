"""Detects a `search_path` that finds tables of another schema first."""

from typing import Any, Final

import psycopg

from service.repo.columns import TABLES
from service.repo.scope import SCHEMA_OID

_NAMES: Final = (*(table.name for table in TABLES), "schema_releases", "orders_id_seq")
OTHER_SCHEMAS: Final = f"""\
SELECT found.relnamespace::regnamespace || '.' || name
FROM unnest(%s::text[]) name JOIN pg_class found ON found.oid = to_regclass(name)
WHERE found.relnamespace <> {SCHEMA_OID} ORDER BY name"""  # noqa: S608 - a constant
"""The tables that are found in another schema than `orders`."""


def search_path_problem(connection: psycopg.Connection[Any]) -> str | None:
    """Return the tables that `search_path` finds in another schema than `orders`. Raises psycopg.Error."""
    found = [name for (name,) in connection.execute(OTHER_SCHEMAS, [[*_NAMES]])]
    if not found:
        return None
    return f"search_path finds {', '.join(found)} in another schema than orders: name only the schema of Orders in it"
